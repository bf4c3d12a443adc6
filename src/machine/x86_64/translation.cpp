#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/paging.h"
#include "base/error.h"
#include "machine/x86_64/probes.h"

namespace kvista::machine::x86_64 {
namespace {

namespace x86 = arch::x86_64;

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr std::array kLevels = {5U, 4U};

// --- page tables: levels, encryption mask ---

Finding number_of_note(Machine& machine, std::string_view name) {
  return number_from(machine.note().number(name), fmt::format("NUMBER({})", name));
}

std::optional<bool> any_mask_holds(Machine& machine, PhysAddr root, unsigned levels) {
  std::vector<arch::Paging> pagings;
  for (const uint64_t mask : possible_masks(machine.note()))
    pagings.push_back(x86::make_paging(levels, mask));
  return any_walk_holds(machine, root, pagings);
}

Finding levels_of_note(Machine& machine) {
  const auto value = machine.note().number("pgtable_l5_enabled");
  if (!value) return unavailable("VMCOREINFO has no NUMBER(pgtable_l5_enabled) (kernels before 4.17)");
  return found(uint64_t{*value != 0 ? 5U : 4U}, "NUMBER(pgtable_l5_enabled)");
}

Finding levels_of_kallsyms(Machine& machine) {
  const uint64_t enabled = machine.variable("__pgtable_l5_enabled", 4);
  return found(uint64_t{enabled != 0 ? 5U : 4U}, "value of __pgtable_l5_enabled");
}

Finding levels_of_page_tables(Machine& machine) {
  const PhysAddr root{machine.need_number(FactId::root_page_table)};
  const bool five = any_mask_holds(machine, root, 5) == true;
  const bool four = any_mask_holds(machine, root, 4) == true;
  if (five == four)
    return unavailable(five ? "ambiguous: walks of 4 and of 5 levels both lead to init_uts_ns"
                            : "neither a walk of 4 levels nor one of 5 leads to init_uts_ns");
  return found(uint64_t{five ? 5U : 4U}, "the walk that leads to init_uts_ns");
}

std::optional<bool> check_levels(Machine& machine, const FactValue& value) {
  const auto root = machine.number(FactId::root_page_table);
  const uint64_t levels = std::get<uint64_t>(value);
  if (levels != 4 && levels != 5) return false;
  if (!root) return std::nullopt;
  return any_mask_holds(machine, PhysAddr{*root}, static_cast<unsigned>(levels));
}

Finding sme_of_note(Machine& machine) {
  return number_of_note(machine, "sme_mask");
}
Finding sme_of_kallsyms(Machine& machine) {
  return found(machine.variable("sme_me_mask"), "value of sme_me_mask");
}

// An entry of the path to the kernel image, whose address is known: what is set beyond that is the mask.
Finding sme_of_page_tables(Machine& machine) {
  const PhysAddr root{machine.need_number(FactId::root_page_table)};
  const auto levels = paging(machine).levels;
  for (const uint64_t mask : {uint64_t{0}, uint64_t{1} << 47, uint64_t{1} << 51})
    if (walk_holds(machine, root, x86::make_paging(levels, mask)) == true)
      return found(mask, "the mask with which the walk leads to init_uts_ns");
  return unavailable("no known mask makes the walk lead to init_uts_ns");
}

std::optional<bool> check_sme(Machine& machine, const FactValue& value) {
  const auto root = machine.number(FactId::root_page_table);
  const auto levels = machine.number(FactId::page_table_levels);
  if (!root || !levels) return std::nullopt;
  if (*levels != 4 && *levels != 5) return std::nullopt;  // --set can say anything
  return walk_holds(machine, PhysAddr{*root},
                    x86::make_paging(static_cast<unsigned>(*levels), std::get<uint64_t>(value)));
}

// --- page_offset ---

Finding page_offset_of_note(Machine& machine) {
  return number_of_note(machine, "page_offset_base");
}
Finding page_offset_of_kallsyms(Machine& machine) {
  return found(machine.variable("page_offset_base"), "value of page_offset_base");
}

Finding page_offset_of_page_tables(Machine& machine) {
  const AddressSpace space = machine.kernel_space();
  const VirtAddr kernel_half{~uint64_t{0} << (space.paging().address_bits() - 1)};
  const auto first = space.first_mapped({kernel_half, x86::kKernelMap - 1});
  if (!first) return unavailable("nothing is mapped below the kernel image");
  return found(first->virt.value - first->phys.value,
               fmt::format("first page mapped: {:#x} at {:#x}", first->virt.value, first->phys.value));
}

// By majority of bytes: kernels 4.19 and 4.20 list KCORE_REMAP segments among RAM (and after it), and the
// text mapping duplicates some.
Finding page_offset_of_segments(Machine& machine) {
  std::map<uint64_t, uint64_t> bytes_by_offset;
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr &&
        *segment.vaddr<x86::kKernelMap&& * segment.vaddr> VirtAddr{1ULL << 63})
      bytes_by_offset[segment.vaddr->value - segment.paddr->value] += segment.size;
  if (bytes_by_offset.empty())
    return unavailable("no segment of RAM has a virtual address of its own (dumps of QEMU have none)");
  const auto most = std::max_element(bytes_by_offset.begin(), bytes_by_offset.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return found(most->first, fmt::format("virtual minus physical address of {} bytes of RAM", most->second));
}

Finding page_offset_of_documents(Machine& machine) {
  const auto levels = machine.number(FactId::page_table_levels);
  if (!levels) return unavailable("depends on page_table_levels");
  const bool fixed = machine.note().hex("KERNELOFFSET") == 0;
  return found(x86::documented_layout(static_cast<unsigned>(*levels)).page_offset.value,
               fixed ? "mm.rst; KERNELOFFSET is 0, so it may well not be randomised"
                     : "mm.rst, without randomisation");
}

std::optional<bool> check_page_offset(Machine& machine, const FactValue& value) {
  const uint64_t offset = std::get<uint64_t>(value);
  if (!machine.number(FactId::root_page_table) || !machine.number(FactId::page_table_levels))
    return std::nullopt;
  if (offset % kGiB != 0) return false;  // the direct map starts at a PUD: arch/x86/mm/kaslr.c
  return direct_map_holds(machine, offset);
}

}  // namespace

uint64_t image_offset(uint64_t value) {
  return x86::kKernelMap.value - value;
}

std::optional<uint64_t> noted_phys_base(const vmcoreinfo::VmcoreInfo& note) {
  return note.number("phys_base");
}

bool is_of_image(const vmcoreinfo::VmcoreInfo& /*note*/, VirtAddr address) {
  return address >= x86::kKernelMap;
}

std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& note) {
  std::vector<arch::Paging> all;
  for (const unsigned levels : kLevels)
    for (const uint64_t mask : possible_masks(note)) all.push_back(x86::make_paging(levels, mask));
  return all;
}

arch::Paging paging(Machine& machine) {
  const uint64_t levels = machine.need_number(FactId::page_table_levels);
  if (levels != 4 && levels != 5)  // --set can say anything
    throw Unsupported(fmt::format("page_table_levels is {}: x86_64 has 4 or 5", levels));
  return x86::make_paging(static_cast<unsigned>(levels), machine.number(FactId::sme_mask).value_or(0));
}

std::vector<uint64_t> possible_masks(const vmcoreinfo::VmcoreInfo& note) {
  std::vector<uint64_t> masks = {0, uint64_t{1} << 47, uint64_t{1} << 51};
  if (const auto noted = note.number("sme_mask")) masks.insert(masks.begin(), *noted);
  return masks;
}

void add_translation_probes(ArchProbes& all) {
  add_only_page_size(all);
  static constexpr std::array kProbes = {
      Probe{FactId::page_table_levels, Source::note, true, levels_of_note},
      Probe{FactId::page_table_levels, Source::page_tables, true, levels_of_page_tables},
      Probe{FactId::page_table_levels, Source::kallsyms, true, levels_of_kallsyms},
      Probe{FactId::sme_mask, Source::note, true, sme_of_note},
      Probe{FactId::sme_mask, Source::page_tables, true, sme_of_page_tables},
      Probe{FactId::sme_mask, Source::kallsyms, true, sme_of_kallsyms},
      Probe{FactId::page_offset, Source::note, true, page_offset_of_note},
      Probe{FactId::page_offset, Source::kallsyms, true, page_offset_of_kallsyms},
      Probe{FactId::page_offset, Source::mem_section, true, distance_of_mem_section},
      Probe{FactId::page_offset, Source::page_tables, true, page_offset_of_page_tables},
      Probe{FactId::page_offset, Source::segments, true, page_offset_of_segments},
      Probe{FactId::page_offset, Source::documented, false, page_offset_of_documents},
  };
  static constexpr std::array kChecks = {
      Check{FactId::page_table_levels, check_levels},
      Check{FactId::sme_mask, check_sme},
      Check{FactId::page_offset, check_page_offset},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

}  // namespace kvista::machine::x86_64
