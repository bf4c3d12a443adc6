#include "dump/protected_memory.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace kvista::dump {
namespace {

struct Part {
  std::string_view first;
  std::string_view end;
};
// The image's parts that stay the kernel's (include/asm-generic/vmlinux.lds.h). What is between them, and
// __init_begin to __init_end, is given back to the page allocator (free_kernel_image_pages).
constexpr std::array kParts = {Part{"_text", "_etext"}, Part{"__start_rodata", "__end_rodata"},
                               Part{"_sdata", "_edata"}, Part{"__bss_start", "__bss_stop"}};
// Within bss, and given back, too, where memory is not encrypted (mem_encrypt_free_decrypted_mem):
// b3f0907c71e0
// ("x86/mm: Add .bss..decrypted section to hold shared variables", 4.19). Where it stays the kernel's, struct
// pages say so.
constexpr Part kGivenBack{"__start_bss_decrypted_unused", "__end_bss_decrypted"};

std::optional<VirtAddr> address_of(const symbol::KernelSymbols& symbols, std::string_view name) {
  const auto found = symbols.find(name);
  if (found.empty()) return std::nullopt;
  return found.front().address;
}

// The addresses of a part that is not empty, or nothing where the symbols do not tell.
std::optional<VirtRange> range_of(const symbol::KernelSymbols& symbols, const Part& part) {
  const auto first = address_of(symbols, part.first);
  const auto end = address_of(symbols, part.end);
  if (!first || !end || !(*first < *end)) return std::nullopt;
  return VirtRange{*first, *end - 1};
}

// Adds `range` without `hole`.
void add_around(std::vector<VirtRange>& ranges, VirtRange range, const std::optional<VirtRange>& hole) {
  if (!hole || hole->last < range.first || range.last < hole->first) {
    ranges.push_back(range);
    return;
  }
  if (range.first < hole->first) ranges.push_back({range.first, hole->first - 1});
  if (hole->last < range.last) ranges.push_back({hole->last + 1, range.last});
}

// Nothing where the symbols do not tell.
std::vector<VirtRange> kernel_image(const kernel::Session& session) {
  std::vector<VirtRange> ranges;
  size_t found = 0;
  try {
    const auto given_back = range_of(session.symbols(), kGivenBack);
    for (const Part& part : kParts) {
      const auto range = range_of(session.symbols(), part);
      if (!range) continue;
      ++found;
      add_around(ranges, *range, given_back);
    }
  } catch (const NotFound&) {
    // No symbols: as below.
  }
  if (found == kParts.size()) return ranges;
  const auto whole = session.with_machine(
      [](machine::Machine& machine) { return machine.range(machine::FactId::kernel_image); });
  return whole ? std::vector{*whole} : std::vector<VirtRange>{};
}

// How much of a unit the first chunk takes: the variables of the kernel, those of modules that are reserved,
// and what the kernel allocates early. The rest of the unit was given back (pcpu_embed_first_chunk). Where
// the kernel's types do not tell, it is the variables alone, and struct pages speak for the others.
uint64_t unit_size(const kernel::Session& session, const VirtRange& variables, uint64_t page_size) {
  constexpr uint64_t kMost = uint64_t{2} << 20;  // a unit is 2 MiB or less; more is damage
  const uint64_t least = variables.last - variables.first + 1;
  try {
    const Value chunk = *session.own_global("pcpu_first_chunk");
    const VirtAddr end = chunk["base_addr"].target() + chunk["nr_pages"].number() * page_size;
    const VirtAddr base = session.own_global("pcpu_base_addr").target();
    if (base < end && end - base <= kMost && least <= end - base) return end - base;
  } catch (const Error&) {
    // As below.
  }
  return std::min(least, kMost);
}

// The first chunk: the kernel's own per-CPU variables, and what it allocated early (mm/percpu.c). Others are
// allocated as pages, and their struct pages say so.
std::vector<VirtRange> per_cpu_memory(const kernel::Session& session, uint64_t page_size) {
  std::vector<VirtRange> ranges;
  try {
    const auto variables = range_of(session.symbols(), {"__per_cpu_start", "__per_cpu_end"});
    if (!variables) return {};
    const uint64_t size = unit_size(session, *variables, page_size);
    for (const unsigned cpu : session.possible_cpus()) {
      const VirtAddr unit = variables->first + session.per_cpu_offset(cpu);
      ranges.push_back({unit, unit + (size - 1)});
    }
  } catch (const Error&) {
    // Not all of it can be found.
  }
  return ranges;
}

void add_page_tables(const machine::AddressSpace& space, std::vector<PhysRange>& ranges) {
  try {
    space.for_each_table([&](PhysRange table) { ranges.push_back(table); });
  } catch (const FormatError&) {
    // They loop: what was found until then.
  }
}

std::vector<PhysRange> joined(std::vector<PhysRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<PhysRange> result;
  for (const PhysRange& range : ranges) {
    if (!result.empty() && range.start <= result.back().end())
      result.back().size = std::max(result.back().end(), range.end()) - result.back().start;
    else
      result.push_back(range);
  }
  return result;
}

}  // namespace

std::vector<PhysRange> protected_memory(const kernel::Session& session, const pages::MemoryMap& map) {
  std::vector<PhysRange> ranges;
  const auto add = [&](VirtRange range) {
    for (const machine::Mapping& run : session.space().mappings(range))
      ranges.push_back({run.phys, run.size});
    // A list that grows with the machine is kept short.
    constexpr size_t kMany = 4096;
    if (ranges.size() > kMany) ranges = joined(std::move(ranges));
  };
  add_page_tables(session.space(), ranges);
  for (const VirtRange& range : kernel_image(session)) add(range);
  for (const VirtRange& range : per_cpu_memory(session, map.page_size())) add(range);
  for (const pages::Section& section : map.sections)
    add({section.map, section.map + (map.frames() * map.struct_size - 1)});
  return joined(std::move(ranges));
}

}  // namespace kvista::dump
