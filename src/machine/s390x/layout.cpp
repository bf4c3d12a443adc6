#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "machine/s390x/probes.h"

namespace kvista::machine::s390x {
namespace {

namespace s390 = arch::s390x;

// --- kaslr_offset ---

// From where the kernel is linked to where it is. KERNELOFFSET was where the image starts in 6.10 and 6.11,
// and is how far it moved before and since.
Finding kaslr_of_note(Machine& machine) {
  const auto offset = machine.note().hex("KERNELOFFSET");
  if (!offset) return unavailable("VMCOREINFO has no KERNELOFFSET");
  if (machine.note().symbol("_stext") == *offset)
    return found(*offset - s390::kLinkedText.value, "KERNELOFFSET, less the 0x100000 where it is linked");
  return found(*offset, "KERNELOFFSET");
}

Finding kaslr_of_kallsyms(Machine& machine) {
  return found(machine.symbol("_text") - s390::kLinkedText, "_text, which is linked at 0x100000");
}

// --- the areas ---

// Between the values of two variables, of which the second is behind the area.
Finding range_of_variables(Machine& machine, std::string_view first_name, std::string_view end_name) {
  const uint64_t first = machine.variable(first_name);
  const uint64_t end = machine.variable(end_name);
  return sized_range(VirtAddr{first}, end - first, fmt::format("values of {} and {}", first_name, end_name));
}

Finding direct_map_of_kallsyms(Machine& machine) {
  const uint64_t start = machine.need_number(FactId::page_offset);
  const uint64_t page = machine.need_number(FactId::page_size);
  const uint64_t frames = machine.variable("max_pfn");
  if (frames > pages_of_addressable_memory(machine)) return unavailable("the value of max_pfn is absurd");
  return sized_range(VirtAddr{start}, frames * page, "value of max_pfn");
}

Finding direct_map_of_page_tables(Machine& machine) {
  const VirtAddr start{machine.need_number(FactId::page_offset)};
  const auto bits = static_cast<unsigned>(machine.need_number(FactId::max_physmem_bits));
  return mapped_direct_map(machine, {start, start + ((uint64_t{1} << std::min(bits, 63U)) - 1)}, start.value);
}

Finding vmalloc_of_kallsyms(Machine& machine) {
  return range_of_variables(machine, "VMALLOC_START", "VMALLOC_END");
}
// What lies between the areas is listed with them (kclist_add in fs/proc/kcore.c: one segment for all).
Finding vmalloc_of_segments(Machine& machine) {
  return vmalloc_of_largest_segment(machine);
}

Finding modules_of_kallsyms(Machine& machine) {
  return range_of_variables(machine, "MODULES_VADDR", "MODULES_END");
}

// The array starts with the struct page of frame 0. The kernel says how large it made it; else it has a
// struct page for each frame that RAM reaches.
Finding vmemmap_of_base(Machine& machine, Finding base) {
  if (!base.value) return base;
  uint64_t size = 0;
  try {
    size = machine.variable("vmemmap_size");
  } catch (const NotFound&) {
    const uint64_t page = machine.need_number(FactId::page_size);
    const auto ram = machine.image().ram();
    if (page != 0 && !ram.empty())
      size = (ram.back().end().value / page) * machine.need_number(FactId::struct_page_size);
  }
  return sized_range(VirtAddr{std::get<uint64_t>(*base.value)}, size, std::move(base.detail));
}

Finding vmemmap_of_note(Machine& machine) {
  return vmemmap_of_base(machine, number_from(machine.note().symbol("vmemmap"), "SYMBOL(vmemmap)"));
}
Finding vmemmap_of_os_info(Machine& machine) {
  return vmemmap_of_base(machine, found(os_info_entry(machine, s390::OsInfo::vmemmap), "os_info"));
}
Finding vmemmap_of_mem_section(Machine& machine) {
  return vmemmap_of_base(machine, memory_map_base_of_mem_section(machine));
}
Finding vmemmap_of_kallsyms(Machine& machine) {
  return vmemmap_of_base(machine, found(machine.variable("vmemmap"), "value of vmemmap"));
}

std::optional<bool> check_vmemmap(Machine& machine, const FactValue& value) {
  return memory_map_holds(machine, std::get<VirtRange>(value).first.value);
}

// --- crashkernel ---

// The kernel writes there what it reserves (reserve_crashkernel in arch/s390/kernel/setup.c).
Finding crashkernel_of_os_info(Machine& machine) {
  const PhysRange range = os_info_crash_kernel(machine);
  if (range.size == 0) return found(PhysRanges{}, "os_info");
  const auto end = checked_add(range.start.value, range.size);
  if (!end || *end >> s390::kPhysicalBits != 0)
    return unavailable(
        fmt::format("os_info makes no sense: {} bytes at {:#x}", range.size, range.start.value));
  return found(PhysRanges{range}, "os_info");
}

// --- the memory map's geometry ---

Finding section_bits_of_arch(Machine& /*machine*/) {
  return found(uint64_t{s390::kSectionSizeBits}, "asm/sparsemem.h; the note has it since 5.13");
}

}  // namespace

void add_layout_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::kaslr_offset, Source::note, true, kaslr_of_note},
      Probe{FactId::kaslr_offset, Source::kallsyms, true, kaslr_of_kallsyms},
      Probe{FactId::direct_map, Source::kallsyms, true, direct_map_of_kallsyms},
      Probe{FactId::direct_map, Source::page_tables, true, direct_map_of_page_tables},
      Probe{FactId::vmalloc, Source::kallsyms, true, vmalloc_of_kallsyms},
      Probe{FactId::vmalloc, Source::segments, true, vmalloc_of_segments},
      Probe{FactId::vmemmap, Source::note, true, vmemmap_of_note},
      Probe{FactId::vmemmap, Source::memory, true, vmemmap_of_os_info},
      Probe{FactId::vmemmap, Source::kallsyms, true, vmemmap_of_kallsyms},
      Probe{FactId::vmemmap, Source::mem_section, true, vmemmap_of_mem_section},
      Probe{FactId::modules, Source::kallsyms, true, modules_of_kallsyms},
      Probe{FactId::crashkernel, Source::memory, true, crashkernel_of_os_info},
      Probe{FactId::section_size_bits, Source::documented, false, section_bits_of_arch},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.push_back({FactId::vmemmap, check_vmemmap});
}

}  // namespace kvista::machine::s390x
