#include "images/page_tables.h"

#include <stdexcept>

namespace kvista::test {
namespace {

constexpr uint64_t kFrames = 0x000ffffffffff000;
constexpr uint64_t kLeafFlags = 0x8000000000000163;  // NX GLOBAL DIRTY ACCESSED RW PRESENT
constexpr uint64_t kLarge = 0x80;
constexpr uint64_t kProtNone = 0x100;

uint64_t frame_bits(unsigned level) {
  return kFrames & ~(PageTables::page_size(level) - 1);
}
uint64_t large_bit(unsigned level) {
  return level > 1 ? kLarge : 0;
}

}  // namespace

uint64_t PageTables::entry_at(uint64_t virt, unsigned level) {
  uint64_t table = root_;
  for (unsigned at_level = levels_;; --at_level) {
    const uint64_t at = table + (virt / page_size(at_level) % 512) * 8;
    if (at_level == level) return at;
    uint64_t entry = memory_.get64(at);
    if (entry == 0) {
      entry = table_entry(allocate_());
      memory_.put64(at, entry);
    }
    if ((entry & kLarge) != 0) throw std::runtime_error("a page is mapped inside a larger page");
    table = entry & kFrames & ~sme_mask_;
  }
}

void PageTables::set_entry(uint64_t virt, unsigned level, uint64_t raw) {
  memory_.put64(entry_at(virt, level), raw);
}

void PageTables::map_page(uint64_t virt, uint64_t phys, unsigned level) {
  set_entry(virt, level, (phys & frame_bits(level)) | kLeafFlags | large_bit(level) | sme_mask_);
}

void PageTables::map(uint64_t virt, uint64_t phys, uint64_t size, unsigned largest) {
  for (uint64_t done = 0; done < size;) {
    unsigned level = largest;
    while (level > 1 && ((virt + done) % page_size(level) != 0 || (phys + done) % page_size(level) != 0 ||
                         size - done < page_size(level)))
      --level;
    map_page(virt + done, phys + done, level);
    done += page_size(level);
  }
}

void PageTables::map_prot_none(uint64_t virt, uint64_t phys, unsigned level) {
  const uint64_t inverted = ~phys & frame_bits(level) & ~sme_mask_;
  set_entry(virt, level, inverted | kProtNone | large_bit(level) | sme_mask_);
}

void PageTables::map_swap(uint64_t virt, uint64_t type, uint64_t offset) {
  // pgtable_64.h: type in bits 59-63, the inverted offset in bits 9-58.
  const uint64_t inverted = ~offset & ((uint64_t{1} << 50) - 1);
  set_entry(virt, 1, type << 59 | inverted << 9);
}

}  // namespace kvista::test
