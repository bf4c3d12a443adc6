#include "dump/unused_map.h"

#include <vector>

#include "base/bits.h"

namespace kvista::dump {
namespace {

bool any_of(std::span<const std::byte> bits, uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end; ++i)
    if ((std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1U) != 0) return true;
  return false;
}

class UnusedMap {
 public:
  UnusedMap(const machine::AddressSpace& space, const pages::MemoryMap& map, SecondBitmap& second)
      : space_(space), map_(map), second_(second), kept_(map.frames() / 8) {}

  uint64_t leave_out() {
    for (const pages::Section& section : map_.sections) {
      second_.get(section.first.value / 8, kept_);
      const VirtAddr last = section.map + (map_.frames() * map_.struct_size - 1);
      space_.for_each_page({section.map, last}, [&](const machine::Mapping& part) {
        // The memory map of huge pages can share its pages (hugetlb_vmemmap_optimize): their part of it is
        // mapped by single pages then (f41f2ed43ca5, 5.14), and stays.
        if (part.size > map_.page_size()) leave_out_of(section, part);
        return true;
      });
    }
    return left_out_;
  }

 private:
  // `part` of the section's memory map, which is one piece in memory.
  void leave_out_of(const pages::Section& section, const machine::Mapping& part) {
    const Pfn first = pfn_of(part.phys, map_.page_shift);
    const uint64_t word = first.value / kWordBits;
    const uint64_t pages = part.size >> map_.page_shift;
    const uint64_t words = (first.value + pages + kWordBits - 1) / kWordBits - word;
    second_.change(word * 8, words * 8, [&](std::span<std::byte> bits) {
      for (uint64_t i = 0; i < pages; ++i) {
        const uint64_t at = first.value + i - word * kWordBits;
        if (at / 8 >= bits.size() || !any_of(bits, at, at + 1)) continue;
        const uint64_t offset = part.virt - section.map + i * map_.page_size();
        if (is_used(offset)) continue;
        clear_bits(bits, at, at + 1);
        ++left_out_;
      }
    });
  }

  // Whether a page of the section's memory map, `offset` bytes from its start, tells of a frame that is kept.
  bool is_used(uint64_t offset) const {
    const uint64_t end = (offset + map_.page_size() + map_.struct_size - 1) / map_.struct_size;
    return end > map_.frames() || any_of(kept_, offset / map_.struct_size, end);
  }

  const machine::AddressSpace& space_;
  const pages::MemoryMap& map_;
  SecondBitmap& second_;
  std::vector<std::byte> kept_;  // of the section's frames
  uint64_t left_out_ = 0;
};

}  // namespace

uint64_t leave_out_unused_map(const machine::AddressSpace& space, const pages::MemoryMap& map,
                              SecondBitmap& second) {
  return UnusedMap(space, map, second).leave_out();
}

}  // namespace kvista::dump
