// The sources of facts that all architectures have, by subject. Within a fact they stand in rank order.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "arch/paging.h"
#include "machine/machine.h"

namespace kvista::machine {

/// Which kernel it is, and in which state: arch, release, build_id, state, crash_time, cpus.
void add_identity_probes(ArchProbes& all);
/// How memory is mapped: page_size, the fact by which the kernel image is found, root_page_table.
void add_mapping_probes(ArchProbes& all, const Architecture& architecture);
/// The memory map's geometry, the kernel image, what is reserved for the crash kernel.
void add_memory_map_probes(ArchProbes& all);
/// What the kernel was built with: arch, page_size, kaslr_offset.
void add_config_probes(ArchProbes& all);
/// What documents say is asked last.
void put_documents_last(ArchProbes& all);

/// A finding with a value, and where it was found.
inline Finding found(FactValue value, std::string where = {}) {
  return {std::move(value), std::move(where)};
}
/// A finding without one, and why.
inline Finding unavailable(std::string why) {
  return {std::nullopt, std::move(why)};
}

/// The kernel's configuration. Throws NotFound that says why there is none.
const decode::ConfigText& config_text(Machine& machine);
/// What the configuration decides by `line`.
Finding decided(Machine& machine, FactValue value, std::string_view line);

/// Bytes of a field of struct new_utsname (__NEW_UTS_LEN and a zero).
inline constexpr size_t kUtsField = 65;
/// What struct new_utsname at init_uts_ns says, where it can be read with `image_offset`: the distance of
/// virtual addresses of the kernel image from physical ones.
struct Utsname {
  std::string release;
  std::string machine;
  std::array<std::string, 6> fields;  ///< all of them: sysname nodename release version machine domainname
  PhysAddr at;                        ///< the first of them; each has kUtsField bytes
};
std::optional<Utsname> read_utsname(Machine& machine, uint64_t image_offset);
/// The same where `note` is that of the image's kernel.
std::optional<Utsname> read_utsname(const image::MemoryImage& image, const vmcoreinfo::VmcoreInfo& note,
                                    uint64_t image_offset);

/// The note's BUILD-ID, where that is one.
std::optional<std::string> noted_build_id(const vmcoreinfo::VmcoreInfo& note);

/// Whether a walk from `root` leads to where the image's mapping says that init_uts_ns is. Nothing where that
/// cannot be told.
std::optional<bool> walk_holds(Machine& machine, PhysAddr root, const arch::Paging& paging);
/// Whether any shape that page tables can have here makes it so.
std::optional<bool> any_walk_holds(Machine& machine, PhysAddr root, std::span<const arch::Paging> pagings);

/// The address range from `first` on, or why it is none.
Finding sized_range(VirtAddr first, uint64_t size, std::string where);
/// From the note's NUMBER(first_key) up to NUMBER(end_key), which is behind the range; notes have both since
/// kernel `since`.
Finding range_of_note(Machine& machine, const char* since, std::string_view first_key,
                      std::string_view end_key);
/// The largest of /proc/kcore's segments that are not of RAM.
Finding vmalloc_of_largest_segment(Machine& machine);
/// How far virtual addresses of the direct map are from physical ones: by where the roots of mem_section are
/// mapped.
Finding distance_of_mem_section(Machine& machine);
/// A number of the note: `what` is how the note writes it.
Finding number_from(std::optional<uint64_t> value, std::string what);
/// Where the struct page of frame 0 is, or would be: the memory map is an array by frame numbers. As the
/// roots of mem_section say it, and as /proc/kcore's segments do.
Finding memory_map_base_of_mem_section(Machine& machine);
Finding memory_map_base_of_segments(Machine& machine);
/// Whether the struct pages of frames of RAM are mapped there: those in the middle of a range. Where their
/// page tables are not in the image there is no answer.
std::optional<bool> memory_map_holds(Machine& machine, uint64_t base);
/// The page size where no kernel of the architecture has another than 4 KiB.
void add_only_page_size(ArchProbes& all);
/// How many memory sections all addressable memory has: LENGTH(mem_section) is the number of their roots
/// (NR_SECTION_ROOTS). Nothing where the note does not tell.
std::optional<uint64_t> noted_sections(Machine& machine);
/// Bytes of a memory map of all addressable memory.
uint64_t memory_map_bytes(Machine& machine);
/// Physical addresses to try a direct map with: in the largest ranges of RAM.
std::vector<PhysAddr> sample_addresses(Machine& machine);
/// Whether the page tables map RAM at this distance.
/// Some addresses may be unmapped (the crash kernel's memory, poisoned pages, a hypervisor's ROM), but none
/// may lead elsewhere. Nothing where the tables themselves are not in the image.
std::optional<bool> direct_map_holds(Machine& machine, uint64_t virtual_minus_physical);
/// The last page that is mapped to its own distance from the start of the direct map: what follows is another
/// area.
Finding mapped_direct_map(Machine& machine, VirtRange most, uint64_t virtual_minus_physical);
/// The segment of the kernel's text mapping, which /proc/kcore and /proc/vmcore have.
std::optional<image::Segment> text_segment(Machine& machine);
/// Pages of as much memory as addresses can name.
uint64_t pages_of_addressable_memory(Machine& machine);
/// Whether the image should have the memory at an address, and has not: that refutes nothing.
bool is_missing(image::PageState state);

}  // namespace kvista::machine
