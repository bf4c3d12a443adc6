#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/paging.h"
#include "base/error.h"
#include "machine/x86_64/probes.h"

namespace kvista::machine::x86_64 {
namespace {

namespace x86 = arch::x86_64;

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kTiB = uint64_t{1} << 40;

const x86::DocumentedLayout& layout_of(Machine& machine) {
  return x86::documented_layout(static_cast<unsigned>(machine.need_number(FactId::page_table_levels)));
}

// --- kaslr_offset ---

Finding kaslr_of_note(Machine& machine) {
  return number_from(machine.note().hex("KERNELOFFSET"), "KERNELOFFSET");
}
Finding kaslr_of_kallsyms(Machine& machine) {
  return found(machine.symbol("_text") - x86::kLinkedText, "_text, which is linked at 0xffffffff81000000");
}
Finding kaslr_of_segments(Machine& machine) {
  const auto text = text_segment(machine);
  if (!text) return unavailable("no segment of the kernel's text mapping");
  return found(*text->vaddr - x86::kLinkedText, "start of the kernel text segment");
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

Finding direct_map_of_page_tables(Machine& machine) {
  const VirtAddr start{machine.need_number(FactId::page_offset)};
  return mapped_direct_map(machine, {start, start + (layout_of(machine).direct_map_size - 1)}, start.value);
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
  return sized_range(VirtAddr{start}, memory_map_bytes(machine), std::move(where));
}
// The area starts with frame 0.
Finding vmemmap_of_base(Machine& machine, Finding base) {
  if (!base.value) return base;
  return vmemmap_at(machine, std::get<uint64_t>(*base.value), std::move(base.detail));
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
Finding vmemmap_of_mem_section(Machine& machine) {
  return vmemmap_of_base(machine, memory_map_base_of_mem_section(machine));
}
Finding vmemmap_of_segments(Machine& machine) {
  return vmemmap_of_base(machine, memory_map_base_of_segments(machine));
}
Finding vmemmap_of_documents(Machine& machine) {
  return vmemmap_at(machine, layout_of(machine).vmemmap.value, "mm.rst, without randomisation");
}
std::optional<bool> check_vmemmap(Machine& machine, const FactValue& value) {
  return memory_map_holds(machine, std::get<VirtRange>(value).first.value);
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

// From the first to the last page mapped: freed parts and what follows the brk area are not, and pages are 2
// MiB.
Finding image_of_page_tables(Machine& machine) {
  const uint64_t size = machine.note().number("KERNEL_IMAGE_SIZE").value_or(x86::kImageSizePlain);
  const auto runs = machine.kernel_space().mappings({x86::kKernelMap, x86::kKernelMap + (size - 1)});
  if (runs.empty()) return unavailable("nothing is mapped there");
  return found(VirtRange{runs.front().virt, runs.back().virt + (runs.back().size - 1)}, "pages mapped");
}

// --- the memory map's geometry ---

Finding section_bits_of_arch(Machine& /*machine*/) {
  return found(uint64_t{x86::kSectionSizeBits}, "asm/sparsemem.h: the same in every kernel");
}

Finding physmem_bits_of_levels(Machine& machine) {
  return found(uint64_t{layout_of(machine).max_physmem_bits}, "asm/sparsemem.h for this number of levels");
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
      Probe{FactId::kernel_image, Source::page_tables, false, image_of_page_tables, true},
      Probe{FactId::section_size_bits, Source::documented, true, section_bits_of_arch},
      Probe{FactId::max_physmem_bits, Source::documented, false, physmem_bits_of_levels},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.push_back({FactId::vmemmap, check_vmemmap});
}

}  // namespace kvista::machine::x86_64
