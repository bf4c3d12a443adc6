#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "arch/x86_64/layout.h"
#include "base/error.h"
#include "image/live.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

namespace x86 = arch::x86_64;

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTiB = uint64_t{1} << 40;

Finding sized_range(VirtAddr first, uint64_t size, std::string where) {
  if (size == 0 || !checked_add(first.value, size - 1))
    return unavailable(where + ": the range wraps around");
  if (first.value >> 63 == 0)
    return unavailable(fmt::format("{}: {:#x} is no kernel address", where, first.value));
  return found(VirtRange{first, first + (size - 1)}, std::move(where));
}

const x86::DocumentedLayout& layout_of(Machine& machine) {
  return x86::documented_layout(static_cast<unsigned>(machine.need_number(FactId::page_table_levels)));
}

uint64_t pages_of_addressable_memory(Machine& machine) {
  const uint64_t bits = machine.need_number(FactId::max_physmem_bits);
  if (bits < x86::kPageShift || bits > x86::kPhysicalBits)  // --set can say anything
    throw Unsupported(fmt::format("max_physmem_bits is {}: x86_64 has at most {}", bits, x86::kPhysicalBits));
  return uint64_t{1} << (bits - x86::kPageShift);
}

Finding number_from(std::optional<uint64_t> value, std::string what) {
  if (!value) return unavailable(fmt::format("VMCOREINFO has no {}", what));
  return found(*value, std::move(what));
}

// --- kaslr_offset ---

Finding kaslr_of_note(Machine& machine) {
  return number_from(machine.note().hex("KERNELOFFSET"), "KERNELOFFSET");
}
Finding kaslr_of_kallsyms(Machine& machine) {
  return found(machine.symbol("_text") - x86::kLinkedText, "_text, which is linked at 0xffffffff81000000");
}
Finding kaslr_of_segments(Machine& machine) {
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr && *segment.vaddr >= x86::kKernelMap)
      return found(*segment.vaddr - x86::kLinkedText, "start of the kernel text segment");
  return unavailable("no segment of the kernel's text mapping");
}
Finding kaslr_of_stext(Machine& machine) {
  const auto stext = machine.note().symbol("_stext");
  if (!stext) return unavailable("VMCOREINFO has no SYMBOL(_stext)");
  // _stext is within the first 2 MiB of the image, whose start is aligned to that.
  const uint64_t start = *stext / x86::kPhysicalAlign * x86::kPhysicalAlign;
  return found(start - x86::kLinkedText.value, "SYMBOL(_stext), linked at 0xffffffff81000000");
}

// --- direct_map ---

Finding direct_map_of_kallsyms(Machine& machine) {
  const VirtAddr start{machine.need_number(FactId::page_offset)};
  const uint64_t frames = machine.variable("max_pfn");
  if (frames > pages_of_addressable_memory(machine)) return unavailable("the value of max_pfn is absurd");
  return sized_range(start, frames * x86::kPageSize, "value of max_pfn");
}

// The last page that is mapped to its own distance from the start: what follows is another area.
Finding direct_map_of_page_tables(Machine& machine) {
  const VirtAddr start{machine.need_number(FactId::page_offset)};
  const VirtRange most{start, start + (layout_of(machine).direct_map_size - 1)};
  std::optional<VirtAddr> last;
  const size_t missing = machine.kernel_space().for_each_page(most, [&](const Mapping& page) {
    if (page.virt - start != page.phys.value) return false;
    last = page.virt + (page.size - 1);
    return true;
  });
  if (!last) return unavailable("nothing is mapped at page_offset");
  return found(
      VirtRange{start, *last},
      missing == 0 ? "pages mapped" : fmt::format("pages mapped; {} page tables are missing", missing));
}

// --- vmalloc ---

Finding vmalloc_at(Machine& machine, uint64_t start, std::string where) {
  return sized_range(VirtAddr{start}, layout_of(machine).vmalloc_size, std::move(where));
}
Finding vmalloc_of_note(Machine& machine) {
  // 55c49fee57af (6.9) exports it.
  const auto start = machine.note().number("VMALLOC_START");
  if (!start) return unavailable("VMCOREINFO has no NUMBER(VMALLOC_START) (kernels before 6.9)");
  return vmalloc_at(machine, *start, "NUMBER(VMALLOC_START)");
}
Finding vmalloc_of_kallsyms(Machine& machine) {
  return vmalloc_at(machine, machine.variable("vmalloc_base"), "value of vmalloc_base");
}
// /proc/kcore lists the area whole: the only segment without physical addresses that is this large.
Finding vmalloc_of_segments(Machine& machine) {
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && !segment.paddr && segment.size >= kTiB)
      return vmalloc_at(machine, segment.vaddr->value, "/proc/kcore's vmalloc segment");
  return unavailable("no segment of the vmalloc area (only /proc/kcore has one)");
}
// Allocation starts at the bottom, and the base is aligned to a PUD.
Finding vmalloc_of_page_tables(Machine& machine) {
  const auto direct_map = machine.range(FactId::direct_map);
  if (!direct_map) return unavailable("depends on direct_map");
  const auto first = machine.kernel_space().first_mapped({direct_map->last + 1, x86::kKernelMap - 1});
  if (!first) return unavailable("nothing is mapped above the direct map");
  return vmalloc_at(machine, first->virt.value / kGiB * kGiB, "first page mapped above the direct map");
}
Finding vmalloc_of_documents(Machine& machine) {
  return vmalloc_at(machine, layout_of(machine).vmalloc.value, "mm.rst, without randomisation");
}

// --- vmemmap ---

Finding vmemmap_at(Machine& machine, uint64_t start, std::string where) {
  const uint64_t size = pages_of_addressable_memory(machine) * machine.need_number(FactId::struct_page_size);
  return sized_range(VirtAddr{start}, size, std::move(where));
}
Finding vmemmap_of_note(Machine& machine) {
  // d3246b6ee42a (6.9) exports it.
  const auto start = machine.note().symbol("vmemmap");
  if (!start) return unavailable("VMCOREINFO has no SYMBOL(vmemmap) (kernels before 6.9)");
  return vmemmap_at(machine, *start, "SYMBOL(vmemmap)");
}
Finding vmemmap_of_kallsyms(Machine& machine) {
  return vmemmap_at(machine, machine.variable("vmemmap_base"), "value of vmemmap_base");
}
// A section's section_mem_map is its part of the memory map minus the section's first frame: with vmemmap,
// the base.
Finding vmemmap_of_mem_section(Machine& machine) {
  const AddressSpace space = machine.kernel_space();
  const VirtAddr array = machine.mem_section_array();
  const auto roots = machine.note().length("mem_section").value_or(1);
  constexpr uint64_t kMaxRoots = 1 << 20;
  for (uint64_t i = 0; i < std::min(roots, kMaxRoots); ++i) {
    std::array<std::byte, 8> bytes{};
    if (space.read(array + i * 8, bytes).done != bytes.size()) break;
    const VirtAddr root{load<uint64_t>(bytes.data(), ByteOrder::little)};
    if (root.value == 0) continue;
    const uint64_t member = machine.note().offset("mem_section.section_mem_map").value_or(0);
    if (space.read(root + member, bytes).done != bytes.size()) break;
    const auto coded = load<uint64_t>(bytes.data(), ByteOrder::little);
    if ((coded & 2) == 0) continue;  // SECTION_HAS_MEM_MAP
    return vmemmap_at(machine, coded & ~(x86::kPageSize - 1), fmt::format("section_mem_map of root {}", i));
  }
  return unavailable("no section with a memory map can be read");
}
// /proc/kcore lists the memory map of each range of RAM: base + frame * struct page, aligned to pages.
Finding vmemmap_of_segments(Machine& machine) {
  const uint64_t page_struct = machine.need_number(FactId::struct_page_size);
  std::map<uint64_t, size_t> votes;
  for (const image::Segment& map : machine.image().segments()) {
    if (!map.vaddr || map.paddr || map.size >= kTiB || *map.vaddr >= x86::kKernelMap) continue;
    for (const PhysRange& ram : machine.image().ram()) {
      const uint64_t into =
          (ram.start.value >> x86::kPageShift) * page_struct / x86::kPageSize * x86::kPageSize;
      if ((map.vaddr->value - into) % kGiB == 0) ++votes[map.vaddr->value - into];
    }
  }
  if (votes.empty()) return unavailable("no segment of the memory map (only /proc/kcore has them)");
  const auto most = std::max_element(votes.begin(), votes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return vmemmap_at(machine, most->first, "/proc/kcore's memory map segments");
}
Finding vmemmap_of_documents(Machine& machine) {
  return vmemmap_at(machine, layout_of(machine).vmemmap.value, "mm.rst, without randomisation");
}
// The struct page of the first frame of RAM that has one must be mapped. Where its page tables are not in the
// image there is no answer.
std::optional<bool> check_vmemmap(Machine& machine, const FactValue& value) {
  const auto page_struct = machine.number(FactId::struct_page_size);
  if (!page_struct || !machine.number(FactId::root_page_table)) return std::nullopt;
  const AddressSpace space = machine.kernel_space();
  const VirtAddr start = std::get<VirtRange>(value).first;
  const auto ram = machine.image().ram();
  bool missing = false;
  for (const PhysRange& range : ram) {
    const uint64_t middle = (range.start.value + range.size / 2) >> x86::kPageShift;
    const WalkEnd end = space.walk(start + middle * *page_struct).end;
    if (end == WalkEnd::mapped) return true;
    missing = missing || end == WalkEnd::table_missing;
  }
  return missing ? std::nullopt : std::optional(false);
}

// --- modules, kernel_image ---

Finding modules_of_note(Machine& machine) {
  const auto size = machine.note().number("KERNEL_IMAGE_SIZE");
  if (!size) return unavailable("VMCOREINFO has no NUMBER(KERNEL_IMAGE_SIZE)");
  const VirtAddr first = x86::kKernelMap + *size;
  if (first < x86::kKernelMap || first > x86::kModulesLast) return unavailable("KERNEL_IMAGE_SIZE is absurd");
  return found(VirtRange{first, x86::kModulesLast}, "NUMBER(KERNEL_IMAGE_SIZE)");
}
Finding modules_of_segments(Machine& machine) {
  for (const image::Segment& segment : machine.image().segments())
    // Above the modules is the vsyscall page, which stands before them (arch/x86/mm/init_64.c mem_init()).
    if (segment.vaddr && !segment.paddr && *segment.vaddr > x86::kKernelMap &&
        *segment.vaddr < x86::kModulesLast)
      return sized_range(*segment.vaddr, segment.size, "/proc/kcore's modules segment");
  return unavailable("no segment of the modules area (only /proc/kcore has one)");
}
Finding modules_of_documents(Machine& machine) {
  const bool moved = machine.number(FactId::kaslr_offset).value_or(0) != 0;
  return found(VirtRange{x86::kKernelMap + x86::kImageSizeKaslr, x86::kModulesLast},
               moved ? "mm.rst; the kernel was moved, so it has CONFIG_RANDOMIZE_BASE"
                     : "mm.rst, with CONFIG_RANDOMIZE_BASE");
}

Finding image_of_kallsyms(Machine& machine) {
  const VirtAddr text = machine.symbol("_text");
  return sized_range(text, machine.symbol("_end") - text, "symbols _text and _end");
}
Finding image_of_segments(Machine& machine) {
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr && *segment.vaddr >= x86::kKernelMap)
      return sized_range(*segment.vaddr, segment.size, "the kernel text segment");
  return unavailable("no segment of the kernel's text mapping");
}
// From the first to the last page mapped: freed parts and what follows the brk area are not, and pages are 2
// MiB.
Finding image_of_page_tables(Machine& machine) {
  const uint64_t size = machine.note().number("KERNEL_IMAGE_SIZE").value_or(x86::kImageSizePlain);
  const auto runs = machine.kernel_space().mappings({x86::kKernelMap, x86::kKernelMap + (size - 1)});
  if (runs.empty()) return unavailable("nothing is mapped there");
  return found(VirtRange{runs.front().virt, runs.back().virt + (runs.back().size - 1)}, "pages mapped");
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
Finding section_bits_of_arch(Machine& /*machine*/) {
  return found(uint64_t{x86::kSectionSizeBits}, "asm/sparsemem.h: the same in every kernel");
}

Finding physmem_bits_of_note(Machine& machine) {
  return number_from(machine.note().number("MAX_PHYSMEM_BITS"), "NUMBER(MAX_PHYSMEM_BITS)");
}
// As many roots as it takes to describe all addressable memory: LENGTH(mem_section) = NR_SECTION_ROOTS.
Finding physmem_bits_of_length(Machine& machine) {
  const auto roots = machine.note().length("mem_section");
  const auto size = machine.note().size("mem_section");
  if (!roots || !size || *size == 0 || *size > x86::kPageSize)
    return unavailable("VMCOREINFO has no LENGTH(mem_section) or SIZE(mem_section)");
  const uint64_t sections = *roots * (x86::kPageSize / *size);
  if (!std::has_single_bit(sections)) return unavailable("LENGTH(mem_section) is no power of two");
  return found(
      static_cast<uint64_t>(std::countr_zero(sections)) + machine.need_number(FactId::section_size_bits),
      "LENGTH(mem_section)");
}
Finding physmem_bits_of_levels(Machine& machine) {
  return found(uint64_t{layout_of(machine).max_physmem_bits}, "asm/sparsemem.h for this number of levels");
}
std::optional<bool> in_bits_range(uint64_t least, uint64_t most, const FactValue& value) {
  const uint64_t bits = std::get<uint64_t>(value);
  if (bits < least || bits > most) return false;
  return std::nullopt;
}
std::optional<bool> check_section_bits(Machine& /*machine*/, const FactValue& value) {
  return in_bits_range(20, 40, value);
}
std::optional<bool> check_physmem_bits(Machine& /*machine*/, const FactValue& value) {
  return in_bits_range(32, x86::kPhysicalBits, value);
}

// --- crashkernel ---

void add_resource(PhysRanges& ranges, uint64_t first, uint64_t last) {
  if (first == 0 && last == 0) return;  // nothing reserved
  const bool whole_pages = first % x86::kPageSize == 0 && (last + 1) % x86::kPageSize == 0;
  if (last < first || last >> x86::kPhysicalBits != 0 || !whole_pages)
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
    add_resource(ranges, load<uint64_t>(bytes.data(), ByteOrder::little),
                 load<uint64_t>(bytes.data() + 8, ByteOrder::little));
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

void add_layout_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::kaslr_offset, Source::note, true, kaslr_of_note},
      Probe{FactId::kaslr_offset, Source::kallsyms, true, kaslr_of_kallsyms},
      Probe{FactId::kaslr_offset, Source::segments, true, kaslr_of_segments},
      Probe{FactId::kaslr_offset, Source::derived, true, kaslr_of_stext},
      Probe{FactId::direct_map, Source::kallsyms, true, direct_map_of_kallsyms},
      Probe{FactId::direct_map, Source::page_tables, true, direct_map_of_page_tables},
      Probe{FactId::vmalloc, Source::note, true, vmalloc_of_note},
      Probe{FactId::vmalloc, Source::kallsyms, true, vmalloc_of_kallsyms},
      Probe{FactId::vmalloc, Source::segments, true, vmalloc_of_segments},
      Probe{FactId::vmalloc, Source::page_tables, false, vmalloc_of_page_tables, true},
      Probe{FactId::vmalloc, Source::documented, false, vmalloc_of_documents},
      Probe{FactId::vmemmap, Source::note, true, vmemmap_of_note},
      Probe{FactId::vmemmap, Source::kallsyms, true, vmemmap_of_kallsyms},
      Probe{FactId::vmemmap, Source::mem_section, true, vmemmap_of_mem_section},
      Probe{FactId::vmemmap, Source::segments, true, vmemmap_of_segments},
      Probe{FactId::vmemmap, Source::documented, false, vmemmap_of_documents},
      Probe{FactId::modules, Source::note, true, modules_of_note},
      Probe{FactId::modules, Source::segments, true, modules_of_segments},
      Probe{FactId::modules, Source::documented, false, modules_of_documents},
      Probe{FactId::kernel_image, Source::kallsyms, true, image_of_kallsyms},
      Probe{FactId::kernel_image, Source::segments, true, image_of_segments},
      Probe{FactId::kernel_image, Source::page_tables, false, image_of_page_tables, true},
      Probe{FactId::struct_page_size, Source::note, true, page_struct_of_note},
      Probe{FactId::struct_page_size, Source::documented, false, page_struct_of_documents},
      Probe{FactId::section_size_bits, Source::note, true, section_bits_of_note},
      Probe{FactId::section_size_bits, Source::documented, true, section_bits_of_arch},
      Probe{FactId::max_physmem_bits, Source::note, true, physmem_bits_of_note},
      Probe{FactId::max_physmem_bits, Source::mem_section, true, physmem_bits_of_length},
      Probe{FactId::max_physmem_bits, Source::documented, false, physmem_bits_of_levels},
      Probe{FactId::crashkernel, Source::kallsyms, true, crashkernel_of_kallsyms},
      Probe{FactId::crashkernel, Source::system, true, crashkernel_of_system},
  };
  static constexpr std::array kChecks = {
      Check{FactId::vmemmap, check_vmemmap},
      Check{FactId::struct_page_size, check_page_struct},
      Check{FactId::section_size_bits, check_section_bits},
      Check{FactId::max_physmem_bits, check_physmem_bits},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

const ArchProbes& x86_64_probes() {
  static const ArchProbes kAll = [] {
    ArchProbes all;
    add_identity_probes(all);
    add_translation_probes(all);
    add_cpu_note_probes(all);
    add_layout_probes(all);
    add_config_probes(all);
    // What documents say is asked last.
    std::stable_partition(all.probes.begin(), all.probes.end(),
                          [](const Probe& probe) { return probe.source != Source::documented; });
    return all;
  }();
  return kAll;
}

std::span<const std::string_view> wanted_symbols() {
  static constexpr std::array<std::string_view, 20> kNames = {"_text",
                                                              "_end",
                                                              "init_top_pgt",
                                                              "page_offset_base",
                                                              "vmalloc_base",
                                                              "vmemmap_base",
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
