#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "arch/riscv64/layout.h"
#include "arch/riscv64/paging.h"
#include "base/endian.h"
#include "base/error.h"
#include "machine/riscv64/probes.h"

namespace kvista::machine::riscv64 {
namespace {

// What the kernel chooses of at boot by what the CPU has; the likeliest first.
constexpr std::array kAddressBits = {uint64_t{48}, uint64_t{57}, uint64_t{39}};

Finding number_of_note(Machine& machine, std::string_view name) {
  return number_from(machine.note().number(name), fmt::format("NUMBER({})", name));
}

// The register, which the note has since d8e99133eb4a (7.1). The note is made at boot by a kernel thread, so
// that the root is the kernel's own.
std::optional<arch::riscv64::Satp> satp_of_note(Machine& machine) {
  const auto raw = machine.note().number("satp");
  return raw ? arch::riscv64::decode_satp(*raw) : std::nullopt;
}
constexpr const char* kNoSatp = "VMCOREINFO has no NUMBER(satp) (kernels before 7.1)";

// --- root_page_table ---

Finding root_of_satp(Machine& machine) {
  const auto satp = satp_of_note(machine);
  if (!satp) return unavailable(kNoSatp);
  return found(satp->root.value, "NUMBER(satp)");
}

// --- va_bits_actual, page_table_levels ---

// Since 6.2 (649d6b1019a2).
Finding bits_of_note(Machine& machine) {
  return number_of_note(machine, "VA_BITS");
}

Finding bits_of_satp(Machine& machine) {
  const auto satp = satp_of_note(machine);
  if (!satp) return unavailable(kNoSatp);
  return found(satp->va_bits, "NUMBER(satp)");
}

// The register's mode, since there are others than Sv39 (e8a62cc26ddf, 5.17).
Finding bits_of_kallsyms(Machine& machine) {
  const auto satp = arch::riscv64::decode_satp(machine.variable("satp_mode"));
  if (!satp) return unavailable("satp_mode is no mode that the kernel uses");
  return found(satp->va_bits, "value of satp_mode");
}

// A walk with too many or too few levels ends elsewhere.
Finding bits_of_page_tables(Machine& machine) {
  const PhysAddr root{machine.need_number(FactId::root_page_table)};
  std::vector<uint64_t> holds;
  for (const uint64_t bits : kAddressBits)
    if (walk_holds(machine, root, *arch::riscv64::make_paging(bits)) == true) holds.push_back(bits);
  if (holds.empty()) return unavailable("no walk leads to init_uts_ns");
  if (holds.size() > 1)
    return unavailable(
        fmt::format("ambiguous: walks of {} bits lead to init_uts_ns", fmt::join(holds, ", ")));
  return found(holds.front(), "the walk that leads to init_uts_ns");
}

std::optional<bool> check_bits(Machine& machine, const FactValue& value) {
  const auto paging = arch::riscv64::make_paging(std::get<uint64_t>(value));
  if (!paging) return false;
  const auto root = machine.number(FactId::root_page_table);
  return root ? walk_holds(machine, PhysAddr{*root}, *paging) : std::nullopt;
}

Finding levels_of_bits(Machine& machine) {
  const auto paging = arch::riscv64::make_paging(machine.need_number(FactId::va_bits_actual));
  if (!paging) return unavailable("va_bits_actual makes no sense");
  return found(uint64_t{paging->levels}, "va_bits_actual");
}

// --- page_offset, phys_offset ---

// struct kernel_mapping has both PAGE_OFFSET and va_pa_offset, which is PAGE_OFFSET minus phys_ram_base, at
// places that differ between kernels: two words with that distance prove each other. The image's own two are
// like that, too, where it is loaded at phys_ram_base (before 3335068f8721, 6.4).
std::optional<uint64_t> page_offset_in_kernel_map(Machine& machine, uint64_t phys_ram_base) {
  constexpr size_t kWords = 8;
  std::array<std::byte, kWords * sizeof(uint64_t)> bytes{};
  try {
    if (machine.read_image(machine.symbol("kernel_map"), bytes) != bytes.size()) return std::nullopt;
  } catch (const NotFound&) {
    return std::nullopt;
  }
  std::array<uint64_t, kWords> words{};
  for (size_t i = 0; i < kWords; ++i)
    words.at(i) = load<uint64_t>(&bytes.at(i * sizeof(uint64_t)), machine.byte_order());
  for (const uint64_t word : words) {
    const bool is_place =
        word >> 63 != 0 && word % arch::riscv64::kPageSize == 0 && !machine.is_of_image(VirtAddr{word});
    // With RAM at 0 the two are the same.
    const auto needed = phys_ram_base == 0 ? 2 : 1;
    if (is_place && std::count(words.begin(), words.end(), word - phys_ram_base) >= needed) return word;
  }
  return std::nullopt;
}

Finding page_offset_of_note(Machine& machine) {
  return number_of_note(machine, "PAGE_OFFSET");
}

Finding page_offset_of_kallsyms(Machine& machine) {
  const auto start = page_offset_in_kernel_map(machine, machine.variable("phys_ram_base"));
  if (!start) return unavailable("kernel_map has no two words that are phys_ram_base apart");
  return found(*start, "value of kernel_map");
}

Finding page_offset_of_mem_section(Machine& machine) {
  Finding distance = distance_of_mem_section(machine);
  if (distance.value)
    distance.value = std::get<uint64_t>(*distance.value) + machine.need_number(FactId::phys_offset);
  return distance;
}

// By majority of bytes: the segments of other areas, and the text mapping, are among them.
Finding page_offset_of_segments(Machine& machine) {
  std::map<uint64_t, uint64_t> bytes_by_distance;
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr && !machine.is_of_image(*segment.vaddr))
      bytes_by_distance[segment.vaddr->value - segment.paddr->value] += segment.size;
  if (bytes_by_distance.empty())
    return unavailable("no segment of RAM has a virtual address of its own (dumps of QEMU have none)");
  const auto most = std::max_element(bytes_by_distance.begin(), bytes_by_distance.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return found(most->first + machine.need_number(FactId::phys_offset),
               fmt::format("addresses of {} bytes of RAM", most->second));
}

// From 3335068f8721 (6.4) on the start of RAM, before the start of the image; in either case at a multiple of
// 2 MiB.
Finding phys_offset_of_note(Machine& machine) {
  return number_of_note(machine, "phys_ram_base");
}
Finding phys_offset_of_kallsyms(Machine& machine) {
  return found(machine.variable("phys_ram_base"), "value of phys_ram_base");
}

std::optional<bool> check_page_offset(Machine& machine, const FactValue& value) {
  const auto phys = machine.number(FactId::phys_offset);
  if (!phys || !machine.number(FactId::root_page_table)) return std::nullopt;
  return direct_map_holds(machine, std::get<uint64_t>(value) - *phys);
}

// Memory shows the distance of the two starts alone. Where that is not what the note or the kernel calls it,
// either start can be wrong, which refutes neither.
std::optional<bool> check_phys_offset(Machine& machine, const FactValue& value) {
  const uint64_t phys = std::get<uint64_t>(value);
  if (phys % arch::riscv64::kImageAlign != 0) return false;
  if (!machine.number(FactId::root_page_table)) return std::nullopt;
  for (const auto& start : {machine.note().number("PAGE_OFFSET"), page_offset_in_kernel_map(machine, phys)})
    if (start && direct_map_holds(machine, *start - phys) == true) return true;
  return std::nullopt;
}

}  // namespace

uint64_t image_offset(uint64_t value) {
  return value;
}

// Since 6.5 (fbe7d19d2b7f).
std::optional<uint64_t> noted_image_fact(const vmcoreinfo::VmcoreInfo& note) {
  return note.number("va_kernel_pa_offset");
}

// What is mapped above the start of the image is the image alone: modules are below it.
bool is_of_image(const vmcoreinfo::VmcoreInfo& note, VirtAddr address) {
  const auto stext = note.symbol("_stext");
  if (!stext || *stext < arch::riscv64::kLinkAddress.value) return false;
  // The boot code, _start, is 2 MiB aligned and less than that before.
  return address.value - *stext / arch::riscv64::kImageAlign * arch::riscv64::kImageAlign <
         arch::riscv64::kMostImage;
}

std::vector<arch::Paging> possible_pagings(const vmcoreinfo::VmcoreInfo& /*note*/) {
  std::vector<arch::Paging> all;
  all.reserve(kAddressBits.size());
  for (const uint64_t bits : kAddressBits) all.push_back(*arch::riscv64::make_paging(bits));
  return all;
}

arch::Paging paging(Machine& machine) {
  const uint64_t bits = machine.need_number(FactId::va_bits_actual);
  const auto paging = arch::riscv64::make_paging(bits);
  if (!paging)  // --set can say anything
    throw Unsupported(fmt::format("va_bits_actual is {}: riscv64 has 39, 48 or 57 bits", bits));
  return *paging;
}

void add_translation_probes(ArchProbes& all) {
  add_only_page_size(all);
  static constexpr std::array kProbes = {
      Probe{FactId::root_page_table, Source::note, true, root_of_satp},
      Probe{FactId::va_bits_actual, Source::note, true, bits_of_note},
      Probe{FactId::va_bits_actual, Source::note, true, bits_of_satp},
      Probe{FactId::va_bits_actual, Source::page_tables, true, bits_of_page_tables},
      Probe{FactId::va_bits_actual, Source::kallsyms, true, bits_of_kallsyms},
      Probe{FactId::page_table_levels, Source::derived, true, levels_of_bits},
      Probe{FactId::page_offset, Source::note, true, page_offset_of_note},
      Probe{FactId::page_offset, Source::kallsyms, true, page_offset_of_kallsyms},
      Probe{FactId::page_offset, Source::mem_section, true, page_offset_of_mem_section},
      Probe{FactId::page_offset, Source::segments, true, page_offset_of_segments},
      Probe{FactId::phys_offset, Source::note, true, phys_offset_of_note},
      Probe{FactId::phys_offset, Source::kallsyms, true, phys_offset_of_kallsyms},
  };
  static constexpr std::array kChecks = {
      Check{FactId::va_bits_actual, check_bits},
      Check{FactId::page_offset, check_page_offset},
      Check{FactId::phys_offset, check_phys_offset},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

}  // namespace kvista::machine::riscv64
