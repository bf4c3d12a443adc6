// The sources of riscv64's facts, by subject. Within a fact they stand in rank order.
#pragma once

#include "machine/probes.h"

namespace kvista::machine::riscv64 {

// The functions of its row in architecture.cpp.

/// va_kernel_pa_offset is the distance itself.
uint64_t image_offset(uint64_t value);
std::optional<uint64_t> noted_image_fact(const vmcoreinfo::VmcoreInfo& note);
bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address);
std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& note);
arch::Paging paging(Machine& machine);

/// What virtual addresses mean: va_bits_actual, page_table_levels, page_offset, phys_offset.
void add_translation_probes(ArchProbes& all);
/// Where things are: kaslr_offset, the ranges.
void add_layout_probes(ArchProbes& all);
inline constexpr std::array kOwnProbes = {add_translation_probes, add_memory_map_probes, add_layout_probes,
                                          add_config_probes};

}  // namespace kvista::machine::riscv64
