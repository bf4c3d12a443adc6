// The memory map's geometry, the kernel image and the crash kernel's memory: what holds for every
// architecture.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "base/endian.h"
#include "base/error.h"
#include "image/live.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTiB = uint64_t{1} << 40;
constexpr unsigned kLeastPageShift = 12;

// --- kernel_image ---

Finding image_of_kallsyms(Machine& machine) {
  const VirtAddr text = machine.symbol("_text");
  return sized_range(text, machine.symbol("_end") - text, "symbols _text and _end");
}
Finding image_of_segments(Machine& machine) {
  const auto text = text_segment(machine);
  if (!text) return unavailable("no segment of the kernel's text mapping");
  return sized_range(*text->vaddr, text->size, "the kernel text segment");
}

// --- the memory map's geometry ---

Finding page_struct_of_note(Machine& machine) {
  return number_from(machine.note().size("page"), "SIZE(page)");
}
Finding page_struct_of_documents(Machine& /*machine*/) {
  return found(uint64_t{64}, "64 bytes in every usual configuration");
}
std::optional<bool> check_page_struct(Machine& /*machine*/, const FactValue& value) {
  const uint64_t size = std::get<uint64_t>(value);
  // struct page is a multiple of its alignment; _struct_page_alignment makes that 8 or 16.
  if (size < 40 || size > 256 || size % 8 != 0) return false;
  return std::nullopt;
}

Finding section_bits_of_note(Machine& machine) {
  return number_from(machine.note().number("SECTION_SIZE_BITS"), "NUMBER(SECTION_SIZE_BITS)");
}
Finding physmem_bits_of_note(Machine& machine) {
  return number_from(machine.note().number("MAX_PHYSMEM_BITS"), "NUMBER(MAX_PHYSMEM_BITS)");
}
Finding physmem_bits_of_length(Machine& machine) {
  const auto sections = noted_sections(machine);
  if (!sections) return unavailable("VMCOREINFO has no LENGTH(mem_section) or SIZE(mem_section)");
  if (!std::has_single_bit(*sections)) return unavailable("LENGTH(mem_section) is no power of two");
  return found(
      static_cast<uint64_t>(std::countr_zero(*sections)) + machine.need_number(FactId::section_size_bits),
      "LENGTH(mem_section)");
}
std::optional<bool> in_bits_range(uint64_t least, uint64_t most, const FactValue& value) {
  const uint64_t bits = std::get<uint64_t>(value);
  if (bits < least || bits > most) return false;
  return std::nullopt;
}
std::optional<bool> check_section_bits(Machine& /*machine*/, const FactValue& value) {
  return in_bits_range(20, 40, value);
}
std::optional<bool> check_physmem_bits(Machine& machine, const FactValue& value) {
  return in_bits_range(32, machine.architecture().physical_bits, value);
}

// --- crashkernel ---

void add_resource(PhysRanges& ranges, uint64_t first, uint64_t last, unsigned physical_bits) {
  if (first == 0 && last == 0) return;  // nothing reserved
  const bool whole_pages =
      first % (uint64_t{1} << kLeastPageShift) == 0 && (last + 1) % (uint64_t{1} << kLeastPageShift) == 0;
  if (last < first || last >> physical_bits != 0 || !whole_pages)
    throw NotFound(fmt::format("crashk_res makes no sense: {:#x}-{:#x}", first, last));
  ranges.push_back({PhysAddr{first}, last - first + 1});
}

void sort_by_start(PhysRanges& ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const PhysRange& a, const PhysRange& b) { return a.start < b.start; });
}

// struct resource begins with start and end, both of 8 bytes: include/linux/ioport.h.
Finding crashkernel_of_kallsyms(Machine& machine) {
  PhysRanges ranges;
  for (const char* name : {"crashk_res", "crashk_low_res"}) {
    std::array<std::byte, 16> bytes{};
    const VirtAddr at = machine.symbol(name);
    if (machine.read_image(at, bytes) != bytes.size())
      return unavailable(fmt::format("{} cannot be read", name));
    add_resource(ranges, load<uint64_t>(bytes.data(), machine.byte_order()),
                 load<uint64_t>(bytes.data() + 8, machine.byte_order()),
                 machine.architecture().physical_bits);
  }
  sort_by_start(ranges);
  return found(ranges, "values of crashk_res and crashk_low_res");
}

Finding crashkernel_of_system(Machine& machine) {
  PhysRanges ranges;
  const auto entries = image::parse_iomem(machine.system_file("/proc/iomem"));
  const bool visible = std::any_of(entries.begin(), entries.end(), [](const image::IomemEntry& entry) {
    return entry.range.start.value != 0;
  });
  if (!visible) return unavailable("/proc/iomem shows no addresses (CAP_SYS_ADMIN is missing)");
  for (const image::IomemEntry& entry : entries)
    if (entry.name == "Crash kernel") ranges.push_back(entry.range);
  sort_by_start(ranges);
  return found(ranges, "/proc/iomem");
}

}  // namespace

Finding sized_range(VirtAddr first, uint64_t size, std::string where) {
  if (size == 0 || !checked_add(first.value, size - 1))
    return unavailable(where + ": the range wraps around");
  return found(VirtRange{first, first + (size - 1)}, std::move(where));
}

uint64_t pages_of_addressable_memory(Machine& machine) {
  const unsigned most = machine.architecture().physical_bits;
  const uint64_t page = machine.need_number(FactId::page_size);
  const uint64_t bits = machine.need_number(FactId::max_physmem_bits);
  if (page == 0 || bits < kLeastPageShift || bits > most)  // --set can say anything
    throw Unsupported(
        fmt::format("max_physmem_bits is {}: {} has at most {}", bits, machine.architecture().name, most));
  return (uint64_t{1} << bits) / page;
}

Finding range_of_note(Machine& machine, const char* since, std::string_view first_key,
                      std::string_view end_key) {
  const auto first = machine.note().number(first_key);
  const auto end = machine.note().number(end_key);
  if (!first || !end)
    return unavailable(
        fmt::format("VMCOREINFO has no NUMBER({}) (kernels before {})", !first ? first_key : end_key, since));
  return sized_range(VirtAddr{*first}, *end - *first,
                     fmt::format("NUMBER({}) and NUMBER({})", first_key, end_key));
}

Finding vmalloc_of_largest_segment(Machine& machine) {
  std::optional<image::Segment> largest;
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && !segment.paddr && (!largest || segment.size > largest->size)) largest = segment;
  if (!largest) return unavailable("no segment of the vmalloc area (only /proc/kcore has one)");
  return sized_range(*largest->vaddr, largest->size, "/proc/kcore's vmalloc segment");
}

std::optional<uint64_t> noted_sections(Machine& machine) {
  const uint64_t page = machine.need_number(FactId::page_size);
  const auto roots = machine.note().length("mem_section");
  const auto size = machine.note().size("mem_section");
  if (!roots || !size || *size == 0 || *size > page) return std::nullopt;
  return *roots * (page / *size);
}

Finding distance_of_mem_section(Machine& machine) {
  const VirtAddr array = machine.mem_section_array();
  if (machine.is_of_image(array))
    return unavailable("mem_section is in the kernel image, not in the direct map");
  const auto mapping = machine.kernel_space().translate(array);
  if (!mapping) return unavailable(fmt::format("mem_section {:#x} is not mapped", array.value));
  return found(array.value - mapping->phys.value,
               fmt::format("{:#x} is at {:#x}", array.value, mapping->phys.value));
}

Finding number_from(std::optional<uint64_t> value, std::string what) {
  if (!value) return unavailable(fmt::format("VMCOREINFO has no {}", what));
  return found(*value, std::move(what));
}

uint64_t memory_map_bytes(Machine& machine) {
  return pages_of_addressable_memory(machine) * machine.need_number(FactId::struct_page_size);
}

// A section's section_mem_map is its part of the memory map minus the section's first frame: with vmemmap,
// the base.
Finding memory_map_base_of_mem_section(Machine& machine) {
  const AddressSpace space = machine.kernel_space();
  const VirtAddr array = machine.mem_section_array();
  const auto roots = machine.note().length("mem_section").value_or(1);
  const uint64_t member = machine.note().offset("mem_section.section_mem_map").value_or(0);
  const uint64_t page = machine.need_number(FactId::page_size);
  const uint64_t size = std::clamp<uint64_t>(machine.note().size("mem_section").value_or(page), 8, page);
  const auto word_at = [&](VirtAddr at) {
    std::array<std::byte, 8> bytes{};
    if (space.read(at, bytes).done != bytes.size()) throw NotFound("a root of mem_section cannot be read");
    return load<uint64_t>(bytes.data(), machine.byte_order());
  };
  constexpr uint64_t kMaxRoots = 1 << 20;
  for (uint64_t i = 0; i < std::min(roots, kMaxRoots); ++i) {
    const VirtAddr root{word_at(array + i * 8)};
    if (root.value == 0) continue;
    for (uint64_t at = 0; at + size <= page; at += size) {
      const uint64_t coded = word_at(root + at + member);
      if ((coded & 2) == 0) continue;  // SECTION_HAS_MEM_MAP
      return found(coded & ~((uint64_t{1} << kLeastPageShift) - 1),
                   fmt::format("section_mem_map of root {}", i));
    }
  }
  return unavailable("no section with a memory map can be read");
}
// /proc/kcore lists the memory map of each range of RAM: base + frame * struct page, aligned to pages.
Finding memory_map_base_of_segments(Machine& machine) {
  const uint64_t page = std::max<uint64_t>(machine.need_number(FactId::page_size), 1);
  const uint64_t page_struct = machine.need_number(FactId::struct_page_size);
  std::map<uint64_t, size_t> votes;
  for (const image::Segment& map : machine.image().segments()) {
    if (!map.vaddr || map.paddr || map.size >= kTiB || machine.is_of_image(*map.vaddr)) continue;
    for (const PhysRange& ram : machine.image().ram()) {
      const uint64_t into = ram.start.value / page * page_struct / page * page;
      if ((map.vaddr->value - into) % kGiB == 0) ++votes[map.vaddr->value - into];
    }
  }
  if (votes.empty()) return unavailable("no segment of the memory map (only /proc/kcore has them)");
  const auto most = std::max_element(votes.begin(), votes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return found(most->first, "/proc/kcore's memory map segments");
}
// The struct page of the first frame of RAM that has one must be mapped. Where its page tables are not in the
// image there is no answer.
std::optional<bool> memory_map_holds(Machine& machine, uint64_t base) {
  const auto page_struct = machine.number(FactId::struct_page_size);
  const auto page_size = machine.number(FactId::page_size);
  if (!page_size || *page_size == 0 || !page_struct || !machine.number(FactId::root_page_table))
    return std::nullopt;
  const AddressSpace space = machine.kernel_space();
  const auto ram = machine.image().ram();
  bool missing = false;
  for (const PhysRange& range : ram) {
    const uint64_t middle = (range.start.value + range.size / 2) / *page_size;
    const WalkEnd end = space.walk(VirtAddr{base + middle * *page_struct}).end;
    if (end == WalkEnd::mapped) return true;
    missing = missing || end == WalkEnd::table_missing;
  }
  return missing ? std::nullopt : std::optional(false);
}

void add_memory_map_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::kernel_image, Source::kallsyms, true, image_of_kallsyms},
      Probe{FactId::kernel_image, Source::segments, true, image_of_segments},
      Probe{FactId::struct_page_size, Source::note, true, page_struct_of_note},
      Probe{FactId::struct_page_size, Source::documented, false, page_struct_of_documents},
      Probe{FactId::section_size_bits, Source::note, true, section_bits_of_note},
      Probe{FactId::max_physmem_bits, Source::note, true, physmem_bits_of_note},
      Probe{FactId::max_physmem_bits, Source::mem_section, true, physmem_bits_of_length},
      Probe{FactId::crashkernel, Source::kallsyms, true, crashkernel_of_kallsyms},
      Probe{FactId::crashkernel, Source::system, true, crashkernel_of_system},
  };
  static constexpr std::array kChecks = {
      Check{FactId::struct_page_size, check_page_struct},
      Check{FactId::section_size_bits, check_section_bits},
      Check{FactId::max_physmem_bits, check_physmem_bits},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

std::span<const std::string_view> wanted_symbols() {
  static constexpr std::array<std::string_view, 37> kNames = {"_text",
                                                              "_start",
                                                              "phys_ram_base",
                                                              "kernel_map",
                                                              "satp_mode",
                                                              "vmemmap_start_pfn",
                                                              "_end",
                                                              "init_top_pgt",
                                                              "swapper_pg_dir",
                                                              "vabits_actual",
                                                              "memstart_addr",
                                                              "module_plt_base",
                                                              "module_alloc_base",
                                                              "node_online_map",
                                                              "page_offset_base",
                                                              "vmalloc_base",
                                                              "vmemmap_base",
                                                              "VMALLOC_START",
                                                              "VMALLOC_END",
                                                              "MODULES_VADDR",
                                                              "MODULES_END",
                                                              "vmemmap",
                                                              "vmemmap_size",
                                                              "max_pfn",
                                                              "sme_me_mask",
                                                              "crashk_res",
                                                              "crashk_low_res",
                                                              "__num_online_cpus",
                                                              "__pgtable_l5_enabled",
                                                              "__start_notes",
                                                              "__stop_notes",
                                                              "node_data",
                                                              "contig_page_data",
                                                              "kernel_config_data",
                                                              "__start_BTF",
                                                              "__stop_BTF",
                                                              "btf_modules"};
  return kNames;
}

}  // namespace kvista::machine
