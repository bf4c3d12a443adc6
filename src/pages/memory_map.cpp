#include "pages/memory_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/endian.h"
#include "base/error.h"

namespace kvista::pages {
namespace {

using machine::AddressSpace;
using machine::FactId;
using machine::Machine;

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kHasMemoryMap = 2;  // SECTION_HAS_MEM_MAP
constexpr uint64_t kFlagBits = 0xfff;  // below the address: maps are aligned to pages at least
constexpr uint64_t kMaxRoots = 1 << 22;

// The shape of the tables: mem_section[root] points to a page of struct mem_section.
struct Geometry {
  VirtAddr roots;
  uint64_t root_count = 0;
  uint64_t section_size = 0;  // of struct mem_section
  uint64_t per_root = 0;
  uint64_t map_offset = 0;  // of section_mem_map
};

Geometry read_geometry(Machine& machine) {
  const auto& note = machine.note();
  if (!note.symbol("mem_section"))
    throw Unsupported(
        fmt::format("{}: VMCOREINFO has no SYMBOL(mem_section): only the sparse memory model is supported",
                    machine.image().traits().path));
  Geometry geometry;
  geometry.section_size = note.size("mem_section").value_or(0);
  geometry.map_offset = note.offset("mem_section.section_mem_map").value_or(0);
  geometry.root_count = note.length("mem_section").value_or(0);
  if (!std::has_single_bit(geometry.section_size) || geometry.section_size > kPageSize ||
      geometry.section_size < 8 || geometry.map_offset > geometry.section_size - 8 ||
      geometry.root_count == 0 || geometry.root_count > kMaxRoots)
    throw NotFound(
        fmt::format("{}: VMCOREINFO's description of mem_section makes no sense (SIZE {}, LENGTH {})",
                    machine.image().traits().path, geometry.section_size, geometry.root_count));
  geometry.per_root = kPageSize / geometry.section_size;
  geometry.roots = machine.mem_section_array();
  return geometry;
}

// The numbers of the roots whose sections overlap the image's RAM.
std::vector<uint64_t> roots_of_ram(const Machine& machine, uint64_t bytes_per_root, uint64_t root_count) {
  std::vector<uint64_t> roots;
  for (const PhysRange& ram : machine.image().ram()) {
    const uint64_t last = std::min((ram.end().value - 1) / bytes_per_root, root_count - 1);
    for (uint64_t root = ram.start.value / bytes_per_root; root <= last; ++root)
      if (roots.empty() || roots.back() < root) roots.push_back(root);
  }
  return roots;
}

void add_root(const AddressSpace& space, const Geometry& geometry, uint64_t number, MemoryMap& map) {
  std::array<std::byte, 8> pointer{};
  if (space.read(geometry.roots + number * 8, pointer).done != pointer.size()) {
    map.warnings.push_back(
        fmt::format("mem_section[{}] cannot be read: its memory has no known struct pages", number));
    return;
  }
  const VirtAddr root{load<uint64_t>(pointer.data(), ByteOrder::little)};
  if (root.value == 0) return;
  std::array<std::byte, kPageSize> sections{};
  if (space.read(root, sections).done != sections.size()) {
    map.warnings.push_back(
        fmt::format("mem_section[{}] at {:#x} is not in the image: its memory has no known struct pages",
                    number, root.value));
    return;
  }
  for (uint64_t i = 0; i < geometry.per_root; ++i) {
    const auto coded =
        load<uint64_t>(&sections.at(i * geometry.section_size + geometry.map_offset), ByteOrder::little);
    if ((coded & kHasMemoryMap) == 0) continue;
    const Pfn first{(number * geometry.per_root + i) << map.section_shift};
    // The map is coded as its address minus that of the section's first frame in an array of all frames.
    map.sections.push_back({first, VirtAddr{(coded & ~kFlagBits) + first.value * map.struct_size}});
  }
}

}  // namespace

const Section* MemoryMap::find(Pfn pfn) const {
  const Pfn first{pfn.value >> section_shift << section_shift};
  const auto at = std::lower_bound(sections.begin(), sections.end(), first,
                                   [](const Section& section, Pfn wanted) { return section.first < wanted; });
  return at != sections.end() && at->first == first ? &*at : nullptr;
}

MemoryMap read_memory_map(Machine& machine) {
  MemoryMap map;
  map.struct_size = static_cast<uint32_t>(machine.need_number(FactId::struct_page_size));
  const uint64_t section_bits = machine.need_number(FactId::section_size_bits);
  constexpr uint64_t kMostSectionBits = 34;  // a classes array of 4 MiB; x86_64 has 27
  if (section_bits <= map.page_shift || section_bits > kMostSectionBits)  // --set can say anything
    throw Unsupported(fmt::format("section_size_bits is {}: memory sections have 13 to {}", section_bits,
                                  kMostSectionBits));
  map.section_shift = static_cast<unsigned>(section_bits) - map.page_shift;
  if (map.struct_size < 32 || map.struct_size > 256)
    throw Unsupported(
        fmt::format("struct_page_size is {}: a struct page has 32 to 256 bytes", map.struct_size));
  const Geometry geometry = read_geometry(machine);
  const AddressSpace space = machine.kernel_space();
  const uint64_t bytes_per_root = geometry.per_root << (map.section_shift + map.page_shift);
  for (const uint64_t root : roots_of_ram(machine, bytes_per_root, geometry.root_count))
    add_root(space, geometry, root, map);
  if (map.sections.empty())
    throw NotFound(
        fmt::format("{}: no memory section with a memory map can be read: pages cannot be told apart",
                    machine.image().traits().path));
  return map;
}

}  // namespace kvista::pages
