// The sources of x86_64's facts, by subject. Within a fact they stand in rank order.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "machine/machine.h"

namespace kvista::machine {

/// Which kernel it is, and in which state: arch, release, build_id, state, crash_time, cpus.
void add_identity_probes(ArchProbes& all);
/// What virtual addresses mean: page_size, page_table_levels, root_page_table, phys_base, sme_mask,
/// page_offset.
void add_translation_probes(ArchProbes& all);
/// What the registers of the CPUs say: root_page_table, page_table_levels, phys_base.
void add_cpu_note_probes(ArchProbes& all);
/// Where things are: kaslr_offset, the ranges, the memory map's geometry, crashkernel.
void add_layout_probes(ArchProbes& all);
/// What the kernel was built with, for facts of all subjects.
void add_config_probes(ArchProbes& all);

/// A finding with a value, and where it was found.
inline Finding found(FactValue value, std::string where = {}) {
  return {std::move(value), std::move(where)};
}
/// A finding without one, and why.
inline Finding unavailable(std::string why) {
  return {std::nullopt, std::move(why)};
}

/// Bytes of a field of struct new_utsname (__NEW_UTS_LEN and a zero).
inline constexpr size_t kUtsField = 65;
/// What struct new_utsname at init_uts_ns says, where it can be read with `phys_base`.
struct Utsname {
  std::string release;
  std::string machine;
  std::array<std::string, 6> fields;  ///< all of them: sysname nodename release version machine domainname
  PhysAddr at;                        ///< the first of them; each has kUtsField bytes
};
std::optional<Utsname> read_utsname(Machine& machine, uint64_t phys_base);
/// The same where `note` is that of the image's kernel.
std::optional<Utsname> read_utsname(const image::MemoryImage& image, const vmcoreinfo::VmcoreInfo& note,
                                    uint64_t phys_base);

/// The note's BUILD-ID, where that is one.
std::optional<std::string> noted_build_id(const vmcoreinfo::VmcoreInfo& note);

/// The memory encryption masks that a walk is tried with: what the note says, none, and where AMD
/// puts the bit.
std::vector<uint64_t> possible_masks(const vmcoreinfo::VmcoreInfo& note);

}  // namespace kvista::machine
