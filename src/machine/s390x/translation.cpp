#include <fmt/format.h>

#include <array>

#include "arch/s390x/paging.h"
#include "base/error.h"
#include "machine/s390x/probes.h"

namespace kvista::machine::s390x {
namespace {

namespace s390 = arch::s390x;

// The kernel has 3 levels, or 4 where it takes more than 4 TiB of addresses or KASAN
// (setup_kernel_memory_layout).
constexpr std::array kLevels = {uint64_t{3}, uint64_t{4}, uint64_t{2}, uint64_t{5}};

// --- kimage_voffset ---

Finding image_offset_of_os_info(Machine& machine) {
  const uint64_t offset = os_info_entry(machine, s390::OsInfo::kaslr_offset);
  const uint64_t phys = os_info_entry(machine, s390::OsInfo::kaslr_offset_phys);
  return found(offset - phys, fmt::format("os_info: {:#x} is at {:#x}", offset, phys));
}

// --- page_table_levels ---

// Each entry of a region or segment table names its level, so that at most one number of levels fits.
Finding levels_of_page_tables(Machine& machine) {
  const PhysAddr root{machine.need_number(FactId::root_page_table)};
  for (const uint64_t levels : kLevels)
    if (walk_holds(machine, root, *s390::make_paging(levels)) == true)
      return found(levels, "the walk that leads to init_uts_ns");
  return unavailable("no walk leads to init_uts_ns");
}

std::optional<bool> check_levels(Machine& machine, const FactValue& value) {
  const auto paging = s390::make_paging(std::get<uint64_t>(value));
  const auto root = machine.number(FactId::root_page_table);
  if (!paging) return false;
  return root ? walk_holds(machine, PhysAddr{*root}, *paging) : std::nullopt;
}

// --- page_offset ---

Finding page_offset_of_note(Machine& machine) {
  if (const auto base = machine.note().hex("IDENTITYBASE")) return found(*base, "IDENTITYBASE");
  if (machine.note().empty()) return unavailable("VMCOREINFO has no IDENTITYBASE");
  return found(uint64_t{0}, "VMCOREINFO has no IDENTITYBASE: memory is mapped to itself (before 6.10)");
}

Finding page_offset_of_os_info(Machine& machine) {
  return found(os_info_entry(machine, s390::OsInfo::identity_base), "os_info");
}

std::optional<bool> check_page_offset(Machine& machine, const FactValue& value) {
  if (!machine.number(FactId::root_page_table) || !machine.number(FactId::page_table_levels))
    return std::nullopt;
  return direct_map_holds(machine, std::get<uint64_t>(value));
}

}  // namespace

uint64_t image_offset(uint64_t value) {
  return value;
}

std::optional<uint64_t> noted_kimage_voffset(const vmcoreinfo::VmcoreInfo& note) {
  const auto phys = note.hex("KERNELOFFPHYS");
  // c98d2ecae08f (6.10) parted virtual from physical addresses, and 378e32aa8197 exports both.
  if (!phys) return note.symbol("lowcore_ptr") ? std::optional<uint64_t>(0) : std::nullopt;
  const auto offset = note.hex("KERNELOFFSET");
  return offset ? std::optional(*offset - *phys) : std::nullopt;
}

bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address) {
  const auto stext = note.symbol("_stext");
  return stext && address.value - *stext < s390::kMostImage;
}

std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& /*note*/) {
  std::vector<arch::Paging> all;
  all.reserve(kLevels.size());
  for (const uint64_t levels : kLevels) all.push_back(*s390::make_paging(levels));
  return all;
}

arch::Paging paging(Machine& machine) {
  const uint64_t levels = machine.need_number(FactId::page_table_levels);
  const auto paging = s390::make_paging(levels);
  if (!paging)  // --set can say anything
    throw Unsupported(fmt::format("page_table_levels is {}: s390x has 2 to 5", levels));
  return *paging;
}

void add_translation_probes(ArchProbes& all) {
  add_only_page_size(all);
  static constexpr std::array kProbes = {
      Probe{FactId::kimage_voffset, Source::memory, true, image_offset_of_os_info},
      Probe{FactId::page_table_levels, Source::page_tables, true, levels_of_page_tables},
      Probe{FactId::page_offset, Source::note, true, page_offset_of_note},
      Probe{FactId::page_offset, Source::memory, true, page_offset_of_os_info},
      Probe{FactId::page_offset, Source::mem_section, true, distance_of_mem_section},
  };
  static constexpr std::array kChecks = {
      Check{FactId::page_table_levels, check_levels},
      Check{FactId::page_offset, check_page_offset},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

}  // namespace kvista::machine::s390x
