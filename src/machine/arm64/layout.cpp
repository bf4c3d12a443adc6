#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "arch/arm64/layout.h"
#include "base/error.h"
#include "machine/arm64/probes.h"

namespace kvista::machine::arm64 {
namespace {

// The kernel since which notes say where the areas are.
constexpr const char* kAreasSince = "6.0";

uint64_t direct_map_bytes(Machine& machine) {
  const auto stext = machine.note().symbol("_stext");
  if (!stext) throw NotFound("VMCOREINFO has no SYMBOL(_stext)");
  return arch::arm64::direct_map_bytes(VirtAddr{*stext}, machine.need_number(FactId::va_bits_actual),
                                       machine.need_number(FactId::page_size));
}

// --- kaslr_offset ---

Finding kaslr_of_note(Machine& machine) {
  return number_from(machine.note().hex("KERNELOFFSET"), "KERNELOFFSET");
}

// Without KASLR the image starts where the modules' area ends, KIMAGE_VADDR; TEXT_OFFSET (0 since 5.8,
// 120dc60d0bdb) came on top.
Finding kaslr_of_kallsyms(Machine& machine) {
  const auto modules_end = machine.note().number("MODULES_END");
  if (!modules_end) return unavailable("VMCOREINFO has no NUMBER(MODULES_END)");
  return found(machine.symbol("_text").value - *modules_end, "_text minus NUMBER(MODULES_END)");
}

// --- the areas ---

Finding direct_map_of_kallsyms(Machine& machine) {
  const uint64_t start = machine.need_number(FactId::page_offset);
  const uint64_t phys = machine.need_number(FactId::phys_offset);
  const uint64_t frames = machine.variable("max_pfn");
  const uint64_t page = machine.need_number(FactId::page_size);
  if (frames > pages_of_addressable_memory(machine)) return unavailable("the value of max_pfn is absurd");
  return sized_range(VirtAddr{start}, frames * page - phys, "value of max_pfn");
}

// From the first page on that is mapped: RAM does not start where the direct map does.
Finding direct_map_of_page_tables(Machine& machine) {
  const VirtAddr start{machine.need_number(FactId::page_offset)};
  const VirtRange most{start, start + (direct_map_bytes(machine) - 1)};
  return mapped_direct_map(machine, most, start.value - machine.need_number(FactId::phys_offset));
}

// Where modules may be: within 2 GiB of the kernel, which KASLR puts anywhere among vmalloc's addresses
// (arch/arm64/kernel/module.c: module_init_limits since 3e35d303ab7d of 6.5, module_alloc_base before).
Finding modules_of_kallsyms(Machine& machine) {
  constexpr uint64_t kReach = uint64_t{2} << 30;
  std::string why;
  for (const char* name : {"module_plt_base", "module_alloc_base"}) {
    try {
      if (const uint64_t base = machine.variable(name); base != 0)
        return sized_range(VirtAddr{base}, kReach, fmt::format("value of {}", name));
      why = fmt::format("{} is 0", name);
    } catch (const NotFound& error) {
      if (why.empty()) why = error.what();
    }
  }
  return unavailable(why);
}
// The area that modules have to themselves, which they leave with KASLR.
Finding modules_of_note(Machine& machine) {
  return range_of_note(machine, kAreasSince, "MODULES_VADDR", "MODULES_END");
}

// VMALLOC_START is MODULES_END.
Finding vmalloc_of_note(Machine& machine) {
  const auto start = machine.note().number("VMALLOC_START");
  return start ? range_of_note(machine, kAreasSince, "VMALLOC_START", "VMALLOC_END")
               : range_of_note(machine, kAreasSince, "MODULES_END", "VMALLOC_END");
}
// The largest one: what is left of half of the addresses.
Finding vmalloc_of_segments(Machine& machine) {
  return vmalloc_of_largest_segment(machine);
}

// The area starts with the frame that the direct map starts with, and has a struct page for each of its
// pages.
Finding vmemmap_of_base(Machine& machine, Finding base) {
  if (!base.value) return base;
  const uint64_t page = machine.need_number(FactId::page_size);
  const uint64_t page_struct = machine.need_number(FactId::struct_page_size);
  const uint64_t first = machine.need_number(FactId::phys_offset) / page;
  const uint64_t frames = direct_map_bytes(machine) / page;
  return sized_range(VirtAddr{std::get<uint64_t>(*base.value) + first * page_struct}, frames * page_struct,
                     std::move(base.detail));
}

// Since 6.9 (d3246b6ee42a) the note has the array itself; NUMBER(VMEMMAP_START) is where the area is with all
// bits that the kernel was built for, and the array is higher where the CPU has less (phys_offset).
Finding vmemmap_of_note(Machine& machine) {
  if (const auto base = machine.note().symbol("vmemmap"))
    return vmemmap_of_base(machine, found(*base, "SYMBOL(vmemmap)"));
  if (machine.number(FactId::va_bits) != machine.number(FactId::va_bits_actual))
    return unavailable("VMCOREINFO has no SYMBOL(vmemmap) (kernels before 6.9)");
  return range_of_note(machine, kAreasSince, "VMEMMAP_START", "VMEMMAP_END");
}
Finding vmemmap_of_mem_section(Machine& machine) {
  return vmemmap_of_base(machine, memory_map_base_of_mem_section(machine));
}

std::optional<bool> check_vmemmap(Machine& machine, const FactValue& value) {
  const auto page = machine.number(FactId::page_size);
  const auto page_struct = machine.number(FactId::struct_page_size);
  const auto phys = machine.number(FactId::phys_offset);
  if (!page || *page == 0 || !page_struct || !phys) return std::nullopt;
  return memory_map_holds(machine, std::get<VirtRange>(value).first.value - *phys / *page * *page_struct);
}

// --- the memory map's geometry ---

// No two of the sizes that there were (asm/sparsemem.h) fit one number of roots: with PA_BITS of 48 and 52
// they give different numbers of sections.
Finding section_bits_of_length(Machine& machine) {
  const auto sections = noted_sections(machine);
  if (!sections) return unavailable("VMCOREINFO has no sensible LENGTH(mem_section)");
  for (const uint64_t bits : {arch::arm64::kOldSectionSizeBits, 27U, 29U})
    for (const uint64_t physical : {48U, 52U})
      if (*sections == uint64_t{1} << (physical - bits)) return found(bits, "LENGTH(mem_section)");
  return unavailable("LENGTH(mem_section) fits no size that sections had");
}

Finding section_bits_of_arch(Machine& /*machine*/) {
  return found(uint64_t{arch::arm64::kOldSectionSizeBits},
               "asm/sparsemem.h before 5.12; the note has it since 5.13");
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
      Probe{FactId::modules, Source::kallsyms, true, modules_of_kallsyms},
      Probe{FactId::modules, Source::note, false, modules_of_note},
      Probe{FactId::section_size_bits, Source::mem_section, true, section_bits_of_length},
      Probe{FactId::section_size_bits, Source::documented, false, section_bits_of_arch},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.push_back({FactId::vmemmap, check_vmemmap});
}

}  // namespace kvista::machine::arm64
