// The sources of arm64's facts, by subject. Within a fact they stand in rank order.
#pragma once

#include "machine/probes.h"

namespace kvista::machine::arm64 {

// The functions of its row in architecture.cpp.

/// kimage_voffset is the distance itself.
uint64_t image_offset(uint64_t value);
std::optional<uint64_t> noted_kimage_voffset(const vmcoreinfo::VmcoreInfo& note);
bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address);
std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& note);
arch::Paging paging(Machine& machine);

/// What virtual addresses mean: va_bits, va_bits_actual, page_table_levels, page_offset, phys_offset,
/// kernel_pac_mask.
void add_translation_probes(ArchProbes& all);
/// Where things are: kaslr_offset, the ranges.
void add_layout_probes(ArchProbes& all);
/// What the kernel was built with: va_bits, page_table_levels.
void add_own_config_probes(ArchProbes& all);
inline constexpr std::array kOwnProbes = {add_translation_probes, add_memory_map_probes, add_layout_probes,
                                          add_config_probes, add_own_config_probes};

}  // namespace kvista::machine::arm64
