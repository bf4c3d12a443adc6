// How memory is mapped: what holds for every architecture, by the data of its row.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "base/error.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

// --- page_size ---

Finding page_size_of_note(Machine& machine) {
  const auto value = machine.note().decimal("PAGESIZE");
  if (!value) return unavailable("VMCOREINFO has no PAGESIZE");
  return found(*value, "PAGESIZE");
}

constexpr uint64_t kOnlyPageSize = 4096;

Finding page_size_of_documents(Machine& machine) {
  return found(kOnlyPageSize, fmt::format("{} has base pages of 4 KiB only", machine.architecture().name));
}

std::optional<bool> check_only_page_size(Machine& /*machine*/, const FactValue& value) {
  return value == FactValue(kOnlyPageSize);
}

// --- where the kernel image is ---

FactId image_fact(Machine& machine) {
  return machine.architecture().image_fact;
}

Finding image_fact_of_note(Machine& machine) {
  const auto value = machine.architecture().noted_image_fact(machine.note());
  const std::string name = describe_image_fact(machine.architecture());
  if (!value) return unavailable(fmt::format("VMCOREINFO has no {}", name));
  return found(*value, name);
}

Finding image_fact_of_segments(Machine& machine) {
  const auto text = text_segment(machine);
  if (!text) return unavailable("no segment of the kernel's text mapping has both addresses");
  return found(machine.architecture().image_offset(text->vaddr->value - text->paddr->value),
               fmt::format("segment {:#x} at {:#x}", text->vaddr->value, text->paddr->value));
}

std::optional<bool> check_image_fact(Machine& machine, const FactValue& value) {
  const auto release = machine.note().text_of("OSRELEASE");
  const auto symbol = machine.note().symbol("init_uts_ns");
  if (!release || !symbol) return std::nullopt;
  const uint64_t offset = machine.architecture().image_offset(std::get<uint64_t>(value));
  std::array<std::byte, 1> byte{};
  if (is_missing(machine.image().read(PhysAddr{*symbol - offset}, byte).state)) return std::nullopt;
  const auto uts = read_utsname(machine, offset);
  if (!uts) return false;
  // Another release is no proof against the value: one of the two releases is wrong, and the fact `release`
  // says so.
  return uts->release == *release ? std::optional(true) : std::nullopt;
}

std::string size_text(uint64_t bytes) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  return bytes % kMiB == 0 ? fmt::format("{} MiB", bytes / kMiB) : fmt::format("{} KiB", bytes >> 10);
}

// Tries every place where the kernel can have been loaded: init_uts_ns must show OSRELEASE there.
Finding image_fact_by_search(Machine& machine) {
  const Architecture& arch = machine.architecture();
  const auto symbol = machine.note().symbol("init_uts_ns");
  const auto release = machine.note().text_of("OSRELEASE");
  if (!symbol || !release || !machine.is_of_image(VirtAddr{*symbol}))
    return unavailable("the search needs SYMBOL(init_uts_ns) and OSRELEASE");
  // An image can claim any amount of memory: 8 TiB are searched at most.
  const uint64_t last_address = (uint64_t{1} << arch.physical_bits) - 1;
  constexpr uint64_t kMostTries = uint64_t{1} << 22;
  uint64_t tries = 0;
  std::vector<uint64_t> hits;
  for (const PhysRange& ram : machine.image().ram()) {
    const uint64_t end = std::min(ram.end().value, last_address);
    // Virtual and physical addresses are alike within the alignment, so that init_uts_ns is at a fixed place.
    uint64_t at = ram.start.value / arch.image_align * arch.image_align + *symbol % arch.image_align;
    for (; at < end && hits.size() < 2; at += arch.image_align) {
      if (++tries > kMostTries) return unavailable("the image claims more memory than can be searched");
      std::array<std::byte, 1> there{};
      if (machine.image().read(PhysAddr{at}, there).done == 0) continue;
      const uint64_t offset = *symbol - at;
      const auto uts = at < ram.start.value ? std::nullopt : read_utsname(machine, offset);
      if (uts && uts->release == *release) hits.push_back(arch.image_offset(offset));
    }
  }
  if (hits.empty()) return unavailable("init_uts_ns with this OSRELEASE is nowhere in the image");
  if (hits.size() > 1)
    return unavailable(fmt::format("ambiguous: init_uts_ns is found with {} {:#x} and {:#x}",
                                   info_of(arch.image_fact).name, hits[0], hits[1]));
  return found(hits[0], fmt::format("init_uts_ns found in steps of {}", size_text(arch.image_align)));
}

// --- the top page table ---

Finding root_at(Machine& machine, VirtAddr address, const std::string& where) {
  const auto phys = machine.image_phys(address);
  if (!phys)
    return unavailable(
        fmt::format("{}: no physical address without {}", where, info_of(image_fact(machine)).name));
  return found(phys->value, where);
}

Finding root_of_note(Machine& machine) {
  for (const std::string_view name : machine.architecture().root_symbols)
    if (const auto symbol = machine.note().symbol(name))
      return root_at(machine, VirtAddr{*symbol}, fmt::format("SYMBOL({})", name));
  return unavailable("VMCOREINFO has no SYMBOL of the top page table");
}

Finding root_of_kallsyms(Machine& machine) {
  const std::string_view name = machine.architecture().root_symbols.front();
  return root_at(machine, machine.symbol(name), fmt::format("symbol {}", name));
}

std::optional<bool> check_root(Machine& machine, const FactValue& value) {
  return any_walk_holds(machine, PhysAddr{std::get<uint64_t>(value)},
                        machine.architecture().possible_pagings(machine.note()));
}

}  // namespace

bool is_missing(image::PageState state) {
  return state != image::PageState::present && state != image::PageState::beyond;
}

std::optional<image::Segment> text_segment(Machine& machine) {
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr && machine.is_of_image(*segment.vaddr)) return segment;
  return std::nullopt;
}

std::optional<bool> walk_holds(Machine& machine, PhysAddr root, const arch::Paging& paging) {
  const auto symbol = machine.note().symbol("init_uts_ns");
  const auto expected = symbol ? machine.image_phys(VirtAddr{*symbol}) : std::nullopt;
  if (!expected) return std::nullopt;
  const Walk walk = AddressSpace(machine.image(), root, paging).walk(VirtAddr{*symbol});
  if (walk.end == WalkEnd::table_missing && is_missing(walk.missing_state)) return std::nullopt;
  return walk.end == WalkEnd::mapped && walk.phys == *expected;
}

std::optional<bool> any_walk_holds(Machine& machine, PhysAddr root, std::span<const arch::Paging> pagings) {
  std::optional<bool> all = false;
  for (const arch::Paging& paging : pagings) {
    const auto one = walk_holds(machine, root, paging);
    if (one == true) return true;
    if (!one) all.reset();
  }
  return all;
}

// The ends and the middle of the largest ranges.
std::vector<PhysAddr> sample_addresses(Machine& machine) {
  const uint64_t page_size = std::max<uint64_t>(machine.number(FactId::page_size).value_or(1), 1);
  const auto ram = machine.image().ram();
  std::vector<PhysRange> ranges(ram.begin(), ram.end());
  std::sort(ranges.begin(), ranges.end(),
            [](const PhysRange& a, const PhysRange& b) { return a.size > b.size; });
  constexpr size_t kRanges = 8;
  ranges.resize(std::min(ranges.size(), kRanges));
  std::vector<PhysAddr> samples;
  for (const PhysRange& range : ranges)
    for (const uint64_t into :
         {uint64_t{0}, range.size / 4, range.size / 2, range.size / 4 * 3, range.size - 1})
      samples.push_back(PhysAddr{(range.start.value + into) / page_size * page_size});
  return samples;
}

std::optional<bool> direct_map_holds(Machine& machine, uint64_t virtual_minus_physical) {
  const AddressSpace space = machine.kernel_space();
  size_t right = 0;
  size_t unmapped = 0;
  size_t missing = 0;
  for (const PhysAddr sample : sample_addresses(machine)) {
    const VirtAddr address{virtual_minus_physical + sample.value};
    // Where the image is mapped like all memory (s390x before 6.10), RAM is the image's here and there.
    if (machine.is_of_image(address) && machine.image_offset() != virtual_minus_physical) return false;
    const Walk walk = space.walk(address);
    if (walk.end == WalkEnd::table_missing)
      ++missing;
    else if (walk.end != WalkEnd::mapped)
      ++unmapped;
    else if (walk.phys == sample)
      ++right;
    else
      return false;
  }
  if (right == 0 && missing > unmapped) return std::nullopt;
  return right > 0 && right * 4 >= unmapped;
}

Finding mapped_direct_map(Machine& machine, VirtRange most, uint64_t virtual_minus_physical) {
  std::optional<VirtAddr> last;
  const size_t missing = machine.kernel_space().for_each_page(most, [&](const Mapping& page) {
    if (page.virt.value - page.phys.value != virtual_minus_physical) return false;
    last = page.virt + (page.size - 1);
    return true;
  });
  if (!last) return unavailable("nothing is mapped at page_offset");
  return found(
      VirtRange{most.first, *last},
      missing == 0 ? "pages mapped" : fmt::format("pages mapped; {} page tables are missing", missing));
}

void add_mapping_probes(ArchProbes& all, const Architecture& architecture) {
  const FactId image = architecture.image_fact;
  const std::array probes = {
      Probe{FactId::page_size, Source::note, true, page_size_of_note},
      Probe{image, Source::note, true, image_fact_of_note},
      Probe{image, Source::segments, true, image_fact_of_segments},
      Probe{image, Source::search, true, image_fact_by_search, true},
      Probe{FactId::root_page_table, Source::note, true, root_of_note},
      Probe{FactId::root_page_table, Source::kallsyms, true, root_of_kallsyms},
  };
  all.probes.insert(all.probes.end(), probes.begin(), probes.end());
  all.checks.push_back({image, check_image_fact});
  all.checks.push_back({FactId::root_page_table, check_root});
}

void add_only_page_size(ArchProbes& all) {
  all.probes.push_back({FactId::page_size, Source::documented, true, page_size_of_documents});
  all.checks.push_back({FactId::page_size, check_only_page_size});
}

void put_documents_last(ArchProbes& all) {
  std::stable_partition(all.probes.begin(), all.probes.end(),
                        [](const Probe& probe) { return probe.source != Source::documented; });
}

}  // namespace kvista::machine
