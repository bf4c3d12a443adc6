// The sources of s390x's facts, by subject. Within a fact they stand in rank order.
#pragma once

#include "arch/s390x/layout.h"
#include "machine/probes.h"

namespace kvista::machine::s390x {

// The functions of its row in architecture.cpp.

/// kimage_voffset is the distance itself.
uint64_t image_offset(uint64_t value);
/// KERNELOFFSET less KERNELOFFPHYS; 0 before 6.10, where virtual addresses were physical ones.
std::optional<uint64_t> noted_kimage_voffset(const vmcoreinfo::VmcoreInfo& note);
bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address);
std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& note);
arch::Paging paging(Machine& machine);
/// Where lowcore says that the note is; nothing where it says nothing, or has the offset of KASLR there, as
/// until the kernel has made its note.
std::optional<PhysAddr> note_pointer(const image::MemoryImage& image);

/// An entry of os_info, to which lowcore leads. Throws NotFound that says why there is none.
uint64_t os_info_entry(Machine& machine, arch::s390x::OsInfo entry);

/// What os_info says of the memory that is reserved for the crash kernel: of no size where there is none.
/// Throws likewise.
PhysRange os_info_crash_kernel(Machine& machine);

/// What virtual addresses mean: page_table_levels, page_offset, kimage_voffset by os_info.
void add_translation_probes(ArchProbes& all);
/// Where things are: kaslr_offset, the ranges.
void add_layout_probes(ArchProbes& all);
inline constexpr std::array kOwnProbes = {add_translation_probes, add_memory_map_probes, add_layout_probes,
                                          add_config_probes};

}  // namespace kvista::machine::s390x
