#include <fmt/format.h>

#include <array>
#include <map>

#include "arch/arm64/layout.h"
#include "arch/arm64/paging.h"
#include "base/error.h"
#include "machine/arm64/probes.h"

namespace kvista::machine::arm64 {
namespace {

constexpr std::array kPageSizes = {uint64_t{4096}, uint64_t{16384}, uint64_t{65536}};
// VA_BITS of arch/arm64/Kconfig, and what a CPU without 52 bits makes of the last; the likeliest first.
constexpr std::array kAddressBits = {uint64_t{48}, uint64_t{52}, uint64_t{39},
                                     uint64_t{42}, uint64_t{47}, uint64_t{36}};

Finding number_of_note(Machine& machine, std::string_view name) {
  return number_from(machine.note().number(name), fmt::format("NUMBER({})", name));
}

// --- page_size ---

// Of all shapes of page tables, the sizes of pages with which a walk leads to init_uts_ns.
Finding page_size_of_page_tables(Machine& machine) {
  const PhysAddr root{machine.need_number(FactId::root_page_table)};
  std::map<uint64_t, bool> holds;
  for (const uint64_t size : kPageSizes)
    for (const uint64_t bits : kAddressBits)
      if (const auto paging = arch::arm64::make_paging(size, bits))
        if (walk_holds(machine, root, *paging) == true) holds[size] = true;
  if (holds.size() != 1)
    return unavailable(holds.empty() ? "no walk leads to init_uts_ns"
                                     : "ambiguous: walks with pages of several sizes lead to init_uts_ns");
  return found(holds.begin()->first, "the walk that leads to init_uts_ns");
}

std::optional<bool> check_page_size(Machine& machine, const FactValue& value) {
  const uint64_t size = std::get<uint64_t>(value);
  const auto root = machine.number(FactId::root_page_table);
  if (!arch::arm64::make_paging(size, kAddressBits.front())) return false;
  if (!root) return std::nullopt;
  std::vector<arch::Paging> pagings;
  pagings.reserve(kAddressBits.size());
  for (const uint64_t bits : kAddressBits) pagings.push_back(*arch::arm64::make_paging(size, bits));
  return any_walk_holds(machine, PhysAddr{*root}, pagings);
}

// --- va_bits, va_bits_actual, page_table_levels ---

// Nothing where these make no sense.
std::optional<arch::Paging> shape_of(Machine& machine, uint64_t page_size, uint64_t bits) {
  return arch::arm64::make_paging(page_size, bits, machine.number(FactId::va_bits).value_or(bits));
}

Finding va_bits_of_note(Machine& machine) {
  return number_of_note(machine, "VA_BITS");
}

Finding actual_of_note(Machine& machine) {
  // bbdbc11804ff (5.11) exports it.
  const auto size = machine.note().number("TCR_EL1_T1SZ");
  if (!size) return unavailable("VMCOREINFO has no NUMBER(TCR_EL1_T1SZ) (kernels before 5.11)");
  if (*size >= 64) return unavailable("NUMBER(TCR_EL1_T1SZ) is absurd");
  return found(64 - *size, "NUMBER(TCR_EL1_T1SZ)");
}

// A variable from 5.4 (5383cc6efed1) until 6.9 (9cce9c6c2c3b).
Finding actual_of_kallsyms(Machine& machine) {
  return found(machine.variable("vabits_actual"), "value of vabits_actual");
}

// A walk with too many bits of address starts in the wrong place of the top table.
Finding actual_of_page_tables(Machine& machine) {
  const PhysAddr root{machine.need_number(FactId::root_page_table)};
  const uint64_t page_size = machine.need_number(FactId::page_size);
  std::vector<uint64_t> holds;
  for (const uint64_t bits : kAddressBits)
    if (const auto paging = shape_of(machine, page_size, bits))
      if (walk_holds(machine, root, *paging) == true) holds.push_back(bits);
  if (holds.empty()) return unavailable("no walk leads to init_uts_ns");
  if (holds.size() > 1)
    return unavailable(
        fmt::format("ambiguous: walks of {} bits lead to init_uts_ns", fmt::join(holds, ", ")));
  return found(holds.front(), "the walk that leads to init_uts_ns");
}

// Where the kernel has no more than the usual 48 bits, the CPU gives it all of them.
Finding actual_of_va_bits(Machine& machine) {
  const uint64_t bits = machine.need_number(FactId::va_bits);
  constexpr uint64_t kOfEveryCpu = 48;
  if (bits > kOfEveryCpu) return unavailable("the CPU may have less than va_bits");
  return found(bits, "va_bits, which every CPU has");
}

std::optional<bool> check_actual(Machine& machine, const FactValue& value) {
  const auto root = machine.number(FactId::root_page_table);
  const auto page_size = machine.number(FactId::page_size);
  if (!root || !page_size) return std::nullopt;
  const auto paging = shape_of(machine, *page_size, std::get<uint64_t>(value));
  if (!paging) return false;
  return walk_holds(machine, PhysAddr{*root}, *paging);
}

Finding levels_of_bits(Machine& machine) {
  const auto paging =
      shape_of(machine, machine.need_number(FactId::page_size), machine.need_number(FactId::va_bits_actual));
  if (!paging) return unavailable("page_size or va_bits_actual makes no sense");
  return found(uint64_t{paging->levels}, "page_size and va_bits_actual");
}

// --- page_offset, phys_offset ---

bool has_direct_map_below(Machine& machine, uint64_t bits) {
  const auto stext = machine.note().symbol("_stext");
  if (!stext) throw NotFound("VMCOREINFO has no SYMBOL(_stext)");
  return arch::arm64::has_direct_map_below(VirtAddr{*stext}, bits);
}

Finding page_offset_of_bits(Machine& machine) {
  const uint64_t bits = machine.need_number(FactId::va_bits_actual);
  if (has_direct_map_below(machine, bits))
    return found(arch::arm64::first_address(bits).value,
                 "va_bits_actual; the image is in the upper half (5.4)");
  return found(arch::arm64::first_address(bits - 1).value, "va_bits_actual; the image is in the lower half");
}

// Page tables: the direct map is what the first page is mapped by, in the half where the image is not.
std::optional<Mapping> first_of_direct_map(Machine& machine) {
  const uint64_t bits = machine.need_number(FactId::va_bits_actual);
  const VirtAddr middle = arch::arm64::first_address(bits - 1);
  const bool is_below = has_direct_map_below(machine, bits);
  const VirtRange half = is_below ? VirtRange{arch::arm64::first_address(bits), middle - 1}
                                  : VirtRange{middle, VirtAddr{UINT64_MAX}};
  return machine.kernel_space().first_mapped(half);
}

// NUMBER(PHYS_OFFSET) is memstart_addr, which counts from where the direct map would be with all bits that
// the kernel was built for: where the CPU has less, the kernel makes up for it there (arch/arm64/mm/init.c,
// arm64_memblock_init), and the value is no address of memory.
Finding phys_offset_by_memstart(Machine& machine, uint64_t memstart, std::string where) {
  const uint64_t actual = machine.need_number(FactId::va_bits_actual);
  const auto built = machine.number(FactId::va_bits);
  if (!built || *built == actual || *built >= 64) return found(memstart, std::move(where));
  const uint64_t start = machine.need_number(FactId::page_offset);
  return found(memstart + (start - arch::arm64::first_address(*built).value),
               fmt::format("{} {:#x}, which counts from the start of {} bits", where, memstart, *built));
}

Finding phys_offset_of_note(Machine& machine) {
  const auto memstart = machine.note().number("PHYS_OFFSET");
  if (!memstart) return unavailable("VMCOREINFO has no NUMBER(PHYS_OFFSET)");
  return phys_offset_by_memstart(machine, *memstart, "NUMBER(PHYS_OFFSET)");
}
Finding phys_offset_of_kallsyms(Machine& machine) {
  return phys_offset_by_memstart(machine, machine.variable("memstart_addr"), "value of memstart_addr");
}

Finding phys_offset_of_page_tables(Machine& machine) {
  const uint64_t start = machine.need_number(FactId::page_offset);
  const auto first = first_of_direct_map(machine);
  if (!first) return unavailable("nothing is mapped in the direct map's half");
  return found(first->phys.value - (first->virt.value - start),
               fmt::format("first page mapped: {:#x} at {:#x}", first->virt.value, first->phys.value));
}

Finding phys_offset_of_mem_section(Machine& machine) {
  Finding distance = distance_of_mem_section(machine);
  if (distance.value)
    distance.value = machine.need_number(FactId::page_offset) - std::get<uint64_t>(*distance.value);
  return distance;
}

// By majority of bytes: the segments of other areas, and the text mapping, are among them.
Finding phys_offset_of_segments(Machine& machine) {
  const uint64_t start = machine.need_number(FactId::page_offset);
  std::map<uint64_t, uint64_t> bytes_by_offset;
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr && segment.vaddr->value >= start &&
        !machine.is_of_image(*segment.vaddr))
      bytes_by_offset[segment.paddr->value - (segment.vaddr->value - start)] += segment.size;
  if (bytes_by_offset.empty())
    return unavailable("no segment of RAM has a virtual address of its own (dumps of QEMU have none)");
  const auto most = std::max_element(bytes_by_offset.begin(), bytes_by_offset.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return found(most->first, fmt::format("addresses of {} bytes of RAM", most->second));
}

std::optional<bool> check_phys_offset(Machine& machine, const FactValue& value) {
  const auto start = machine.number(FactId::page_offset);
  if (!start || !machine.number(FactId::root_page_table)) return std::nullopt;
  return direct_map_holds(machine, *start - std::get<uint64_t>(value));
}

// --- kernel_pac_mask ---

Finding pac_mask_of_note(Machine& machine) {
  // 0 where the CPU has no pointer authentication.
  const auto mask = machine.note().hex("KERNELPACMASK");
  if (!mask) {
    const auto number = machine.note().number("KERNELPACMASK");
    return number_from(number, "NUMBER(KERNELPACMASK)");
  }
  return found(*mask, "KERNELPACMASK");
}

}  // namespace

uint64_t image_offset(uint64_t value) {
  return value;
}

std::optional<uint64_t> noted_kimage_voffset(const vmcoreinfo::VmcoreInfo& note) {
  return note.number("kimage_voffset");
}

// No area of its own is the image's: it is mapped among vmalloc's.
bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address) {
  const auto stext = note.symbol("_stext");
  if (!stext) return false;
  const uint64_t start = *stext - arch::arm64::kImageAlign;  // _text is up to 64 KiB before
  return address.value - start < arch::arm64::kMostImage;
}

// Of all sizes, because the note can be wrong; its own first.
std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& note) {
  std::vector<arch::Paging> all;
  const auto noted = note.decimal("PAGESIZE");
  for (const bool is_noted : {true, false})
    for (const uint64_t size : kPageSizes)
      for (const uint64_t bits : kAddressBits)
        if ((noted == size) == is_noted) all.push_back(*arch::arm64::make_paging(size, bits));
  return all;
}

arch::Paging paging(Machine& machine) {
  const uint64_t page_size = machine.need_number(FactId::page_size);
  const uint64_t bits = machine.need_number(FactId::va_bits_actual);
  const auto paging = shape_of(machine, page_size, bits);
  if (!paging)  // --set can say anything
    throw Unsupported(
        fmt::format("page_size is {} and va_bits_actual is {}: arm64 has pages of 4, 16 and 64 KiB "
                    "and 36 to 52 bits",
                    page_size, bits));
  return *paging;
}

void add_translation_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::page_size, Source::page_tables, true, page_size_of_page_tables},
      Probe{FactId::va_bits, Source::note, true, va_bits_of_note},
      Probe{FactId::va_bits_actual, Source::note, true, actual_of_note},
      Probe{FactId::va_bits_actual, Source::page_tables, true, actual_of_page_tables},
      Probe{FactId::va_bits_actual, Source::kallsyms, true, actual_of_kallsyms},
      Probe{FactId::va_bits_actual, Source::derived, true, actual_of_va_bits},
      Probe{FactId::page_table_levels, Source::derived, true, levels_of_bits},
      Probe{FactId::page_offset, Source::derived, true, page_offset_of_bits},
      Probe{FactId::phys_offset, Source::note, true, phys_offset_of_note},
      Probe{FactId::phys_offset, Source::kallsyms, true, phys_offset_of_kallsyms},
      Probe{FactId::phys_offset, Source::mem_section, true, phys_offset_of_mem_section},
      Probe{FactId::phys_offset, Source::page_tables, true, phys_offset_of_page_tables},
      Probe{FactId::phys_offset, Source::segments, true, phys_offset_of_segments},
      Probe{FactId::kernel_pac_mask, Source::note, true, pac_mask_of_note},
  };
  static constexpr std::array kChecks = {
      Check{FactId::page_size, check_page_size},
      Check{FactId::va_bits_actual, check_actual},
      Check{FactId::phys_offset, check_phys_offset},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

}  // namespace kvista::machine::arm64
