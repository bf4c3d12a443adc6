#include <fmt/format.h>

#include <array>
#include <bit>

#include "arch/riscv64/layout.h"
#include "base/error.h"
#include "machine/riscv64/probes.h"

namespace kvista::machine::riscv64 {
namespace {

// The kernel since which notes say where the areas are.
constexpr const char* kAreasSince = "6.2";

VirtAddr page_align(VirtAddr address) {
  return {(address.value + arch::riscv64::kPageSize - 1) / arch::riscv64::kPageSize *
          arch::riscv64::kPageSize};
}

// --- kaslr_offset ---

// KERNELOFFSET since d8e99133eb4a (7.1). The modules' area ends where the image starts (asm/pgtable.h), and
// KERNEL_LINK_ADDR is where that would be without KASLR.
Finding kaslr_of_note(Machine& machine) {
  if (const auto offset = machine.note().hex("KERNELOFFSET")) return found(*offset, "KERNELOFFSET");
  const auto linked = machine.note().number("KERNEL_LINK_ADDR");
  const auto start = machine.note().number("MODULES_END");
  if (!linked || !start)
    return unavailable(
        "VMCOREINFO has neither KERNELOFFSET (7.1) nor NUMBER(MODULES_END) and NUMBER(KERNEL_LINK_ADDR) "
        "(6.2)");
  return found(*start - *linked, "NUMBER(MODULES_END) minus NUMBER(KERNEL_LINK_ADDR)");
}

Finding kaslr_of_kallsyms(Machine& machine) {
  return found(machine.symbol("_start") - arch::riscv64::kLinkAddress, "_start minus KERNEL_LINK_ADDR");
}

// --- the areas ---

Finding direct_map_of_kallsyms(Machine& machine) {
  const uint64_t start = machine.need_number(FactId::page_offset);
  const uint64_t phys = machine.need_number(FactId::phys_offset);
  const uint64_t frames = machine.variable("max_pfn");
  if (frames > pages_of_addressable_memory(machine)) return unavailable("the value of max_pfn is absurd");
  return sized_range(VirtAddr{start}, frames * arch::riscv64::kPageSize - phys, "value of max_pfn");
}

Finding direct_map_of_page_tables(Machine& machine) {
  const VirtAddr start{machine.need_number(FactId::page_offset)};
  const uint64_t bytes = arch::riscv64::direct_map_bytes(machine.kernel_space().paging().address_bits());
  const auto last = checked_add(start.value, bytes - 1);
  const VirtRange most{start, VirtAddr{last.value_or(UINT64_MAX)}};
  return mapped_direct_map(machine, most, start.value - machine.need_number(FactId::phys_offset));
}

Finding modules_of_kallsyms(Machine& machine) {
  const VirtAddr first{page_align(machine.symbol("_end")).value - arch::riscv64::kModulesReach};
  return sized_range(first, page_align(machine.symbol("_start")) - first, "2 GiB before _end, to _start");
}
Finding modules_of_note(Machine& machine) {
  return range_of_note(machine, kAreasSince, "MODULES_VADDR", "MODULES_END");
}

Finding vmalloc_of_note(Machine& machine) {
  return range_of_note(machine, kAreasSince, "VMALLOC_START", "VMALLOC_END");
}
// It ends where the direct map starts: VMALLOC_END is PAGE_OFFSET.
Finding vmalloc_of_segments(Machine& machine) {
  const uint64_t end = machine.need_number(FactId::page_offset);
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && !segment.paddr && segment.vaddr->value + segment.size == end)
      return sized_range(*segment.vaddr, segment.size, "/proc/kcore's vmalloc segment");
  return unavailable("no segment of the vmalloc area (only /proc/kcore has one)");
}

Finding vmemmap_of_note(Machine& machine) {
  return range_of_note(machine, kAreasSince, "VMEMMAP_START", "VMEMMAP_END");
}

// The frame whose struct page is the first of the area: that of phys_ram_base, and since f754f27e98f8 (6.14)
// the variable's, which is aligned.
uint64_t first_frame(Machine& machine) {
  try {
    return machine.variable("vmemmap_start_pfn");
  } catch (const NotFound&) {
    return machine.need_number(FactId::phys_offset) / arch::riscv64::kPageSize;
  }
}

Finding vmemmap_of_mem_section(Machine& machine) {
  Finding base = memory_map_base_of_mem_section(machine);
  if (!base.value) return base;
  const uint64_t page_struct = machine.need_number(FactId::struct_page_size);
  const uint64_t bits = machine.kernel_space().paging().address_bits();
  const auto shift = static_cast<unsigned>(std::bit_width(page_struct - 1));
  constexpr unsigned kMostShift = 12;
  if (page_struct == 0 || shift > kMostShift) return unavailable("struct_page_size makes no sense");
  return sized_range(VirtAddr{std::get<uint64_t>(*base.value) + first_frame(machine) * page_struct},
                     arch::riscv64::memory_map_bytes(bits, shift), std::move(base.detail));
}

std::optional<bool> check_vmemmap(Machine& machine, const FactValue& value) {
  const uint64_t page_struct = machine.need_number(FactId::struct_page_size);
  return memory_map_holds(machine,
                          std::get<VirtRange>(value).first.value - first_frame(machine) * page_struct);
}

// --- the memory map's geometry ---

Finding section_bits_of_arch(Machine& /*machine*/) {
  return found(uint64_t{arch::riscv64::kSectionSizeBits}, "asm/sparsemem.h; the note has it since 5.13");
}

}  // namespace

void add_layout_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::kaslr_offset, Source::note, true, kaslr_of_note},
      Probe{FactId::kaslr_offset, Source::kallsyms, true, kaslr_of_kallsyms},
      Probe{FactId::direct_map, Source::kallsyms, true, direct_map_of_kallsyms},
      Probe{FactId::direct_map, Source::page_tables, true, direct_map_of_page_tables},
      Probe{FactId::vmalloc, Source::note, true, vmalloc_of_note},
      Probe{FactId::vmalloc, Source::segments, true, vmalloc_of_segments},
      Probe{FactId::vmemmap, Source::note, true, vmemmap_of_note},
      Probe{FactId::vmemmap, Source::mem_section, true, vmemmap_of_mem_section},
      Probe{FactId::modules, Source::note, true, modules_of_note},
      Probe{FactId::modules, Source::kallsyms, true, modules_of_kallsyms},
      Probe{FactId::section_size_bits, Source::documented, false, section_bits_of_arch},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.push_back({FactId::vmemmap, check_vmemmap});
}

}  // namespace kvista::machine::riscv64
