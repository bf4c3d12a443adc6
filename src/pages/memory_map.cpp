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

constexpr uint64_t kLeastPageSize = 4096;
constexpr uint64_t kMostPageSize = 65536;
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

// A root fills a page: SECTIONS_PER_ROOT of include/linux/mmzone.h.
Geometry read_geometry(Machine& machine, uint64_t page_size) {
  const auto& note = machine.note();
  if (!note.symbol("mem_section"))
    throw Unsupported(
        fmt::format("{}: VMCOREINFO has no SYMBOL(mem_section): only the sparse memory model is supported",
                    machine.image().traits().path));
  Geometry geometry;
  geometry.section_size = note.size("mem_section").value_or(0);
  geometry.map_offset = note.offset("mem_section.section_mem_map").value_or(0);
  geometry.root_count = note.length("mem_section").value_or(0);
  if (!std::has_single_bit(geometry.section_size) || geometry.section_size > page_size ||
      geometry.section_size < 8 || geometry.map_offset > geometry.section_size - 8 ||
      geometry.root_count == 0 || geometry.root_count > kMaxRoots)
    throw NotFound(
        fmt::format("{}: VMCOREINFO's description of mem_section makes no sense (SIZE {}, LENGTH {})",
                    machine.image().traits().path, geometry.section_size, geometry.root_count));
  geometry.per_root = page_size / geometry.section_size;
  geometry.roots = machine.mem_section_array();
  return geometry;
}

// Reads the sections of the image's RAM, root by root. Pointers to roots are read some at a time, because a
// damaged image can claim more RAM than there is.
class SectionReader {
 public:
  SectionReader(Machine& machine, const Geometry& geometry, MemoryMap& map)
      : space_(machine.kernel_space()),
        order_(machine.byte_order()),
        geometry_(geometry),
        map_(map),
        frame_bits_(machine.architecture().physical_bits - map.page_shift),
        sections_(uint64_t{1} << map.page_shift) {}

  void read(std::span<const PhysRange> ram) {
    const uint64_t bytes_per_root = geometry_.per_root << (map_.section_shift + map_.page_shift);
    uint64_t next = 0;
    for (const PhysRange& range : ram) {
      const uint64_t last = std::min((range.end().value - 1) / bytes_per_root, geometry_.root_count - 1);
      for (next = std::max(next, range.start.value / bytes_per_root); next <= last; ++next) read_root(next);
    }
    if (unread_ != 0)
      map_.warnings.push_back(fmt::format(
          "{} (first: {}) cannot be read: the memory there has no known struct "
          "pages",
          unread_ == 1 ? "a root of mem_section" : fmt::format("{} roots of mem_section", unread_),
          first_unread_));
  }

 private:
  static constexpr uint64_t kPointers = 512;
  // 128 TiB of sections of 128 MiB: more memory than machines have.
  static constexpr size_t kMostSections = size_t{1} << 20;

  // The pointer to a root, or nothing where it cannot be read.
  std::optional<VirtAddr> pointer(uint64_t number) {
    if (number / kPointers != loaded_) {
      loaded_ = number / kPointers;
      const auto read = space_.read(geometry_.roots + loaded_ * kPointers * 8, pointers_);
      readable_ = read.done / 8;
    }
    if (number % kPointers >= readable_) return std::nullopt;
    return VirtAddr{load<uint64_t>(&pointers_.at(number % kPointers * 8), order_)};
  }

  void read_root(uint64_t number) {
    const auto root = pointer(number);
    if (root && root->value == 0) return;
    if (!root || space_.read(*root, sections_).done != sections_.size()) {
      if (unread_++ == 0)
        first_unread_ = root ? fmt::format("mem_section[{}] at {:#x}", number, root->value)
                             : fmt::format("mem_section[{}]", number);
      return;
    }
    for (uint64_t i = 0; i < geometry_.per_root && map_.sections.size() < kMostSections; ++i) {
      const auto coded =
          load<uint64_t>(&sections_.at(i * geometry_.section_size + geometry_.map_offset), order_);
      if ((coded & kHasMemoryMap) == 0) continue;
      const Pfn first{(number * geometry_.per_root + i) << map_.section_shift};
      if (first.value >> frame_bits_ != 0) return;
      // The map is coded as its address minus that of the section's first frame in an array of all frames.
      map_.sections.push_back({first, VirtAddr{(coded & ~kFlagBits) + first.value * map_.struct_size}});
    }
  }

  AddressSpace space_;
  ByteOrder order_;
  const Geometry& geometry_;
  MemoryMap& map_;
  unsigned frame_bits_;              // of a page frame's number, at most
  std::vector<std::byte> sections_;  // of a root
  std::array<std::byte, kPointers * 8> pointers_{};
  uint64_t loaded_ = UINT64_MAX;
  uint64_t readable_ = 0;
  uint64_t unread_ = 0;
  std::string first_unread_;
};

}  // namespace

unsigned page_shift_of(Machine& machine) {
  const uint64_t size = machine.need_number(FactId::page_size);
  if (!std::has_single_bit(size) || size < kLeastPageSize || size > kMostPageSize)  // --set can say anything
    throw Unsupported(fmt::format("page_size is {}: a page has {} to {} bytes, a power of two", size,
                                  kLeastPageSize, kMostPageSize));
  return static_cast<unsigned>(std::countr_zero(size));
}

const Section* MemoryMap::find(Pfn pfn) const {
  const Pfn first{pfn.value >> section_shift << section_shift};
  const auto at = std::lower_bound(sections.begin(), sections.end(), first,
                                   [](const Section& section, Pfn wanted) { return section.first < wanted; });
  return at != sections.end() && at->first == first ? &*at : nullptr;
}

MemoryMap read_memory_map(Machine& machine) {
  MemoryMap map;
  map.page_shift = page_shift_of(machine);
  map.struct_size = static_cast<uint32_t>(machine.need_number(FactId::struct_page_size));
  const uint64_t section_bits = machine.need_number(FactId::section_size_bits);
  constexpr uint64_t kMostSectionBits = 34;  // a classes array of 4 MiB with pages of 4 KiB; x86_64 has 27
  if (section_bits <= map.page_shift || section_bits > kMostSectionBits)  // --set can say anything
    throw Unsupported(fmt::format("section_size_bits is {}: memory sections have {} to {}", section_bits,
                                  map.page_shift + 1, kMostSectionBits));
  map.section_shift = static_cast<unsigned>(section_bits) - map.page_shift;
  if (map.struct_size < 32 || map.struct_size > 256)
    throw Unsupported(
        fmt::format("struct_page_size is {}: a struct page has 32 to 256 bytes", map.struct_size));
  const Geometry geometry = read_geometry(machine, map.page_size());
  SectionReader(machine, geometry, map).read(machine.image().ram());
  map.sections.shrink_to_fit();
  if (map.sections.empty())
    throw NotFound(
        fmt::format("no memory section with a memory map can be read, so pages cannot be told apart{}",
                    map.warnings.empty() ? "" : ": " + map.warnings.front()));
  return map;
}

}  // namespace kvista::pages
