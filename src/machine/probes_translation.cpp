#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "arch/x86_64/layout.h"
#include "base/error.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

namespace x86 = arch::x86_64;

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr std::array kLevels = {5U, 4U};

Finding number_of_note(Machine& machine, std::string_view name) {
  const auto value = machine.note().number(name);
  if (!value) return unavailable(fmt::format("VMCOREINFO has no NUMBER({})", name));
  return found(*value, fmt::format("NUMBER({})", name));
}

// --- page_size ---

Finding page_size_of_note(Machine& machine) {
  const auto value = machine.note().decimal("PAGESIZE");
  if (!value) return unavailable("VMCOREINFO has no PAGESIZE");
  return found(*value, "PAGESIZE");
}

Finding page_size_of_arch(Machine& /*machine*/) {
  return found(x86::kPageSize, "x86_64 has base pages of 4 KiB only");
}

std::optional<bool> check_page_size(Machine& /*machine*/, const FactValue& value) {
  return value == FactValue(x86::kPageSize);
}

// --- phys_base ---

Finding phys_base_of_note(Machine& machine) {
  return number_of_note(machine, "phys_base");
}

// The segment of the kernel's text mapping, which /proc/kcore and /proc/vmcore have.
std::optional<image::Segment> text_segment(Machine& machine) {
  for (const image::Segment& segment : machine.image().segments())
    if (segment.vaddr && segment.paddr && *segment.vaddr >= x86::kKernelMap) return segment;
  return std::nullopt;
}

Finding phys_base_of_segments(Machine& machine) {
  const auto text = text_segment(machine);
  if (!text) return unavailable("no segment of the kernel's text mapping has both addresses");
  return found(text->paddr->value - (text->vaddr->value - x86::kKernelMap.value),
               fmt::format("segment {:#x} at {:#x}", text->vaddr->value, text->paddr->value));
}

// Whether the image should have the memory at an address, and has not: that refutes nothing.
bool is_missing(image::PageState state) {
  return state != image::PageState::present && state != image::PageState::beyond;
}

std::optional<bool> check_phys_base(Machine& machine, const FactValue& value) {
  const auto release = machine.note().text_of("OSRELEASE");
  if (!release || !machine.note().symbol("init_uts_ns")) return std::nullopt;
  const PhysAddr at{*machine.note().symbol("init_uts_ns") - x86::kKernelMap.value +
                    std::get<uint64_t>(value)};
  std::array<std::byte, 1> byte{};
  if (is_missing(machine.image().read(at, byte).state)) return std::nullopt;
  const auto uts = read_utsname(machine, std::get<uint64_t>(value));
  if (!uts) return false;
  // Another release is no proof against phys_base: one of the two releases is wrong, and the fact `release`
  // says so.
  return uts->release == *release ? std::optional(true) : std::nullopt;
}

// Tries every place where the kernel can have been loaded: init_uts_ns must show OSRELEASE there.
Finding phys_base_by_search(Machine& machine) {
  const auto symbol = machine.note().symbol("init_uts_ns");
  const auto release = machine.note().text_of("OSRELEASE");
  if (!symbol || !release || VirtAddr{*symbol} < x86::kKernelMap)
    return unavailable("the search needs SYMBOL(init_uts_ns) and OSRELEASE");
  const uint64_t into_image = *symbol - x86::kKernelMap.value;
  // An image can claim any amount of memory: 8 TiB are searched at most.
  constexpr uint64_t kLastAddress = (uint64_t{1} << x86::kPhysicalBits) - 1;
  constexpr uint64_t kMostTries = uint64_t{1} << 22;
  uint64_t tries = 0;
  std::vector<uint64_t> hits;
  for (const PhysRange& ram : machine.image().ram()) {
    const uint64_t end = std::min(ram.end().value, kLastAddress);
    // phys_base is a multiple of the alignment, so that init_uts_ns is at a fixed place within it.
    const uint64_t within = into_image % x86::kPhysicalAlign;
    uint64_t at = ram.start.value / x86::kPhysicalAlign * x86::kPhysicalAlign + within;
    for (; at < end && hits.size() < 2; at += x86::kPhysicalAlign) {
      if (++tries > kMostTries) return unavailable("the image claims more memory than can be searched");
      std::array<std::byte, 1> there{};
      if (machine.image().read(PhysAddr{at}, there).done == 0) continue;
      const uint64_t base = at - into_image;
      const auto uts = at < ram.start.value ? std::nullopt : read_utsname(machine, base);
      if (uts && uts->release == *release) hits.push_back(base);
    }
  }
  if (hits.empty()) return unavailable("init_uts_ns with this OSRELEASE is nowhere in the image");
  if (hits.size() > 1)
    return unavailable(
        fmt::format("ambiguous: init_uts_ns is found with phys_base {:#x} and {:#x}", hits[0], hits[1]));
  return found(hits[0], "init_uts_ns found in steps of 2 MiB");
}

// --- page tables: root, levels, encryption mask ---

// Whether a walk from `root` leads to where phys_base says init_uts_ns is. Nothing where that cannot be told.
std::optional<bool> walk_holds(Machine& machine, PhysAddr root, unsigned levels, uint64_t sme_mask) {
  const auto symbol = machine.note().symbol("init_uts_ns");
  const auto expected = symbol ? machine.image_phys(VirtAddr{*symbol}) : std::nullopt;
  if (!expected) return std::nullopt;
  const Walk walk = AddressSpace(machine.image(), root, {levels, sme_mask}).walk(VirtAddr{*symbol});
  if (walk.end == WalkEnd::table_missing && is_missing(walk.missing_state)) return std::nullopt;
  return walk.end == WalkEnd::mapped && walk.phys == *expected;
}

std::optional<bool> any_mask_holds(Machine& machine, PhysAddr root, unsigned levels) {
  std::optional<bool> all = false;
  for (const uint64_t mask : possible_sme_masks(machine)) {
    const auto one = walk_holds(machine, root, levels, mask);
    if (one == true) return true;
    if (!one) all.reset();
  }
  return all;
}

Finding root_at(Machine& machine, VirtAddr address, const std::string& where) {
  const auto phys = machine.image_phys(address);
  if (!phys) return unavailable(fmt::format("{}: no physical address without phys_base", where));
  return found(phys->value, where);
}

Finding root_of_note(Machine& machine) {
  // init_level4_pgt until 65ade2f872b4 (4.13); swapper_pg_dir is the same table on x86_64.
  for (const char* name : {"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"})
    if (const auto symbol = machine.note().symbol(name))
      return root_at(machine, VirtAddr{*symbol}, fmt::format("SYMBOL({})", name));
  return unavailable("VMCOREINFO has no SYMBOL of the top page table");
}

Finding root_of_kallsyms(Machine& machine) {
  return root_at(machine, machine.symbol("init_top_pgt"), "symbol init_top_pgt");
}

std::optional<bool> check_root(Machine& machine, const FactValue& value) {
  const PhysAddr root{std::get<uint64_t>(value)};
  std::optional<bool> all = false;
  for (const unsigned levels : kLevels) {
    const auto one = any_mask_holds(machine, root, levels);
    if (one == true) return true;
    if (!one) all.reset();
  }
  return all;
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
  const auto levels = static_cast<unsigned>(machine.need_number(FactId::page_table_levels));
  for (const uint64_t mask : {uint64_t{0}, uint64_t{1} << 47, uint64_t{1} << 51})
    if (walk_holds(machine, root, levels, mask) == true)
      return found(mask, "the mask with which the walk leads to init_uts_ns");
  return unavailable("no known mask makes the walk lead to init_uts_ns");
}

std::optional<bool> check_sme(Machine& machine, const FactValue& value) {
  const auto root = machine.number(FactId::root_page_table);
  const auto levels = machine.number(FactId::page_table_levels);
  if (!root || !levels) return std::nullopt;
  return walk_holds(machine, PhysAddr{*root}, static_cast<unsigned>(*levels), std::get<uint64_t>(value));
}

// --- page_offset ---

Finding page_offset_of_note(Machine& machine) {
  return number_of_note(machine, "page_offset_base");
}
Finding page_offset_of_kallsyms(Machine& machine) {
  return found(machine.variable("page_offset_base"), "value of page_offset_base");
}

Finding page_offset_of_mem_section(Machine& machine) {
  const VirtAddr array = machine.mem_section_array();
  if (array >= x86::kKernelMap)
    return unavailable("mem_section is in the kernel image, not in the direct map");
  const auto mapping = machine.kernel_space().translate(array);
  if (!mapping) return unavailable(fmt::format("mem_section {:#x} is not mapped", array.value));
  return found(array.value - mapping->phys.value,
               fmt::format("{:#x} is at {:#x}", array.value, mapping->phys.value));
}

Finding page_offset_of_page_tables(Machine& machine) {
  const AddressSpace space = machine.kernel_space();
  const unsigned bits = x86::level_shift(space.paging().levels) + 9;
  const VirtAddr kernel_half{~uint64_t{0} << (bits - 1)};
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

// Physical addresses to try a page_offset with: the ends and the middle of the largest ranges.
std::vector<PhysAddr> sample_addresses(Machine& machine) {
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
      samples.push_back(PhysAddr{(range.start.value + into) & ~(x86::kPageSize - 1)});
  return samples;
}

// page_offset + a physical address must walk back to that address. Some addresses may be unmapped (the crash
// kernel's memory, poisoned pages, a hypervisor's ROM), but none may lead elsewhere. Where the tables
// themselves are not in the image there is no answer.
std::optional<bool> check_page_offset(Machine& machine, const FactValue& value) {
  const uint64_t offset = std::get<uint64_t>(value);
  if (!machine.number(FactId::root_page_table) || !machine.number(FactId::page_table_levels))
    return std::nullopt;
  if (offset % kGiB != 0) return false;  // the direct map starts at a PUD: arch/x86/mm/kaslr.c
  const AddressSpace space = machine.kernel_space();
  size_t right = 0;
  size_t unmapped = 0;
  size_t missing = 0;
  const auto samples = sample_addresses(machine);
  for (const PhysAddr sample : samples) {
    const VirtAddr address{offset + sample.value};
    if (address >= x86::kKernelMap) return false;
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

}  // namespace

std::vector<uint64_t> possible_sme_masks(Machine& machine) {
  std::vector<uint64_t> masks = {0, uint64_t{1} << 47, uint64_t{1} << 51};
  if (const auto noted = machine.note().number("sme_mask")) masks.insert(masks.begin(), *noted);
  return masks;
}

void add_translation_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::page_size, Source::note, true, page_size_of_note},
      Probe{FactId::page_size, Source::documented, true, page_size_of_arch},
      Probe{FactId::phys_base, Source::note, true, phys_base_of_note},
      Probe{FactId::phys_base, Source::segments, true, phys_base_of_segments},
      Probe{FactId::phys_base, Source::search, true, phys_base_by_search, true},
      Probe{FactId::root_page_table, Source::note, true, root_of_note},
      Probe{FactId::root_page_table, Source::kallsyms, true, root_of_kallsyms},
      Probe{FactId::page_table_levels, Source::note, true, levels_of_note},
      Probe{FactId::page_table_levels, Source::page_tables, true, levels_of_page_tables},
      Probe{FactId::page_table_levels, Source::kallsyms, true, levels_of_kallsyms},
      Probe{FactId::sme_mask, Source::note, true, sme_of_note},
      Probe{FactId::sme_mask, Source::page_tables, true, sme_of_page_tables},
      Probe{FactId::sme_mask, Source::kallsyms, true, sme_of_kallsyms},
      Probe{FactId::page_offset, Source::note, true, page_offset_of_note},
      Probe{FactId::page_offset, Source::kallsyms, true, page_offset_of_kallsyms},
      Probe{FactId::page_offset, Source::mem_section, true, page_offset_of_mem_section},
      Probe{FactId::page_offset, Source::page_tables, true, page_offset_of_page_tables},
      Probe{FactId::page_offset, Source::segments, true, page_offset_of_segments},
      Probe{FactId::page_offset, Source::documented, false, page_offset_of_documents},
  };
  static constexpr std::array kChecks = {
      Check{FactId::page_size, check_page_size},  Check{FactId::phys_base, check_phys_base},
      Check{FactId::root_page_table, check_root}, Check{FactId::page_table_levels, check_levels},
      Check{FactId::sme_mask, check_sme},         Check{FactId::page_offset, check_page_offset},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
  all.checks.insert(all.checks.end(), kChecks.begin(), kChecks.end());
}

}  // namespace kvista::machine
