// The sources of x86_64's facts, by subject. Within a fact they stand in rank order.
#pragma once

#include "machine/probes.h"

namespace kvista::machine::x86_64 {

// The functions of its row in architecture.cpp.

/// Of phys_base; and phys_base of that.
uint64_t image_offset(uint64_t value);
std::optional<uint64_t> noted_phys_base(const vmcoreinfo::VmcoreInfo& note);
bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address);
std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& note);
arch::Paging paging(Machine& machine);

/// What virtual addresses mean: page_table_levels, sme_mask, page_offset.
void add_translation_probes(ArchProbes& all);
/// What the registers of the CPUs say: root_page_table, page_table_levels, phys_base.
void add_cpu_note_probes(ArchProbes& all);
/// Where things are: kaslr_offset, the ranges.
void add_layout_probes(ArchProbes& all);
/// What the kernel was built with, for facts of all subjects.
void add_own_config_probes(ArchProbes& all);
inline constexpr std::array kOwnProbes = {add_translation_probes, add_cpu_note_probes, add_memory_map_probes,
                                          add_layout_probes,      add_config_probes,   add_own_config_probes};

/// The memory encryption masks that a walk is tried with: what the note says, none, and where AMD
/// puts the bit.
std::vector<uint64_t> possible_masks(const vmcoreinfo::VmcoreInfo& note);

}  // namespace kvista::machine::x86_64
