#include "images/page_tables.h"

#include <stdexcept>

namespace kvista::test {
namespace {

uint64_t page_bits(uint64_t phys, unsigned level, const TableShape& shape) {
  return phys & ~(shape.page_size(level) - 1);
}

// Where an entry of zeros maps nothing.
uint64_t no_entry(unsigned /*level*/) {
  return 0;
}

// --- x86_64: arch/x86/include/asm/pgtable_types.h ---

constexpr uint64_t kX86Frames = 0x000ffffffffff000;
constexpr uint64_t kX86Leaf = 0x8000000000000163;  // NX GLOBAL DIRTY ACCESSED RW PRESENT
constexpr uint64_t kX86Table = 0x63;
constexpr uint64_t kX86Large = 0x80;
constexpr uint64_t kX86ProtNone = 0x100;

uint64_t x86_large(unsigned level) {
  return level > 1 ? kX86Large : 0;
}
uint64_t x86_table(uint64_t phys, unsigned /*level*/, const TableShape& shape) {
  return phys | kX86Table | shape.mask;
}
uint64_t x86_leaf(uint64_t phys, unsigned level, const TableShape& shape) {
  return (page_bits(phys, level, shape) & kX86Frames) | kX86Leaf | x86_large(level) | shape.mask;
}
// The frame's number is inverted: the L1TF mitigation.
uint64_t x86_prot_none(uint64_t phys, unsigned level, const TableShape& shape) {
  const uint64_t inverted = page_bits(~phys, level, shape) & kX86Frames & ~shape.mask;
  return inverted | kX86ProtNone | x86_large(level) | shape.mask;
}
std::optional<uint64_t> x86_next(uint64_t entry, const TableShape& shape) {
  if ((entry & kX86Large) != 0) return std::nullopt;
  return entry & kX86Frames & ~shape.mask;
}

// --- arm64: arch/arm64/include/asm/pgtable-hwdef.h ---

constexpr unsigned kArm64Shift64K = 16;
constexpr uint64_t kArm64Table = 3;
constexpr uint64_t kArm64TableBit = 2;               // of a leaf: a page, and no block
constexpr uint64_t kArm64Leaf = 0x0068000000000401;  // UXN PXN DBM AF VALID
constexpr uint64_t kArm64Shared = 0x300;             // inner shareable
constexpr uint64_t kArm64Low = (uint64_t{1} << 48) - 1;

bool has_lpa2(const TableShape& shape) {
  return shape.page_shift != kArm64Shift64K && shape.bits > 48;
}
// Where the bits of an address above 48 are: PTE_ADDR_HIGH.
uint64_t arm64_address(uint64_t phys, const TableShape& shape) {
  if (shape.page_shift == kArm64Shift64K) return (phys & kArm64Low) | (phys >> 48 & 0xf) << 12;
  return has_lpa2(shape) ? (phys & ~(uint64_t{3} << 50)) | (phys >> 50 & 3) << 8 : phys;
}
uint64_t arm64_table(uint64_t phys, unsigned /*level*/, const TableShape& shape) {
  return arm64_address(phys, shape) | kArm64Table;
}
uint64_t arm64_leaf(uint64_t phys, unsigned level, const TableShape& shape) {
  return arm64_address(page_bits(phys, level, shape), shape) | kArm64Leaf |
         (has_lpa2(shape) ? 0 : kArm64Shared) | (level == 1 ? kArm64TableBit : 0);
}
// As set_memory_valid() takes it out of the map.
uint64_t arm64_prot_none(uint64_t phys, unsigned level, const TableShape& shape) {
  return arm64_leaf(phys, level, shape) & ~uint64_t{1};
}
// Tables of tests are below 2^48.
std::optional<uint64_t> arm64_next(uint64_t entry, const TableShape& shape) {
  if ((entry & kArm64Table) != kArm64Table) return std::nullopt;
  return entry & kArm64Low & ~(shape.page_size(1) - 1);
}

// --- riscv64: arch/riscv/include/asm/pgtable-bits.h ---

constexpr uint64_t kRiscv64Leaf = 0xe7;  // DIRTY ACCESSED GLOBAL WRITE READ VALID
constexpr uint64_t kRiscv64Access = 0xe;

uint64_t riscv64_entry(uint64_t phys, uint64_t flags) {
  return phys >> 12 << 10 | flags;
}
uint64_t riscv64_table(uint64_t phys, unsigned /*level*/, const TableShape& /*shape*/) {
  return riscv64_entry(phys, 1);
}
uint64_t riscv64_leaf(uint64_t phys, unsigned level, const TableShape& shape) {
  return riscv64_entry(page_bits(phys, level, shape), kRiscv64Leaf);
}
uint64_t riscv64_prot_none(uint64_t phys, unsigned level, const TableShape& shape) {
  return riscv64_leaf(phys, level, shape) & ~uint64_t{1};
}
std::optional<uint64_t> riscv64_next(uint64_t entry, const TableShape& /*shape*/) {
  if ((entry & kRiscv64Access) != 0) return std::nullopt;
  return entry >> 10 << 12;
}

// --- s390x: arch/s390/include/asm/pgtable.h ---

constexpr uint64_t kS390xPage = 0x13d;    // NOEXEC WRITE READ DIRTY YOUNG PRESENT
constexpr uint64_t kS390xLarge = 0x3503;  // DIRTY YOUNG LARGE NOEXEC WRITE READ, of a segment or region entry
constexpr uint64_t kS390xLargeBit = 0x400;
constexpr uint64_t kS390xInvalid = 0x20;
constexpr uint64_t kS390xPageInvalid = 0x400;
constexpr uint64_t kS390xPageNone = 0x601;   // INVALID PROTECT PRESENT: PAGE_NONE
constexpr uint64_t kS390xLargeNone = 0x620;  // LARGE PROTECT INVALID: SEGMENT_NONE
constexpr uint64_t kS390xWhole = 3;          // of a region entry: the table has all of its four quarters
constexpr unsigned kS390xSegment = 2;

// Which table an entry of a level above page tables is of: 0 segment, 1 to 3 region.
uint64_t s390x_type(unsigned level) {
  return uint64_t{level - kS390xSegment} << 2;
}
uint64_t s390x_table(uint64_t phys, unsigned level, const TableShape& /*shape*/) {
  return phys | s390x_type(level) | (level > kS390xSegment ? kS390xWhole : 0);
}
uint64_t s390x_leaf(uint64_t phys, unsigned level, const TableShape& shape) {
  return page_bits(phys, level, shape) | (level == 1 ? kS390xPage : kS390xLarge | s390x_type(level));
}
uint64_t s390x_prot_none(uint64_t phys, unsigned level, const TableShape& shape) {
  return page_bits(phys, level, shape) | (level == 1 ? kS390xPageNone : kS390xLargeNone | s390x_type(level));
}
// Of a segment or region entry. Page tables are aligned to 2 KiB.
std::optional<uint64_t> s390x_next(uint64_t entry, const TableShape& shape) {
  if ((entry & kS390xLargeBit) != 0) return std::nullopt;
  const bool is_segment = (entry & s390x_type(5)) == 0;
  return entry & ~((is_segment ? shape.table_size(1) : shape.page_size(1)) - 1);
}
uint64_t s390x_empty(unsigned level) {
  return level == 1 ? kS390xPageInvalid : kS390xInvalid | s390x_type(level);
}

}  // namespace

const EntryFormat kX86Entries{x86_table, x86_leaf, x86_prot_none, x86_next, no_entry};
const EntryFormat kArm64Entries{arm64_table, arm64_leaf, arm64_prot_none, arm64_next, no_entry};
const EntryFormat kRiscv64Entries{riscv64_table, riscv64_leaf, riscv64_prot_none, riscv64_next, no_entry};
const EntryFormat kS390xEntries{s390x_table, s390x_leaf, s390x_prot_none, s390x_next, s390x_empty};

uint64_t PageTables::entry_at(uint64_t virt, unsigned level) {
  uint64_t table = root_;
  for (unsigned at_level = shape_.levels();; --at_level) {
    const uint64_t at = table + shape_.index(virt, at_level) * 8;
    if (at_level == level) return at;
    uint64_t entry = memory_.get64(at);
    if (entry == format_.empty(at_level)) {
      const uint64_t fresh = allocate_();
      fill_empty(fresh, at_level - 1);
      entry = table_entry(fresh, at_level);
      memory_.put64(at, entry);
    }
    const auto next = format_.next(entry, shape_);
    if (!next) throw std::runtime_error("a page is mapped inside a larger page");
    table = *next;
  }
}

void PageTables::fill_empty(uint64_t table, unsigned level) {
  const uint64_t empty = format_.empty(level);
  if (empty == 0) return;
  for (uint64_t at = table; at < table + shape_.table_size(level); at += 8) memory_.put64(at, empty);
}

void PageTables::loop(uint64_t virt, unsigned level) {
  const uint64_t table = entry_at(virt, level) - shape_.index(virt, level) * 8;
  for (uint64_t at = table; at < table + shape_.table_size(level); at += 8)
    if (memory_.get64(at) == format_.empty(level)) memory_.put64(at, table_entry(table, level));
}

void PageTables::set_entry(uint64_t virt, unsigned level, uint64_t raw) {
  memory_.put64(entry_at(virt, level), raw);
}

void PageTables::map_page(uint64_t virt, uint64_t phys, unsigned level) {
  set_entry(virt, level, format_.leaf(phys, level, shape_));
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
  set_entry(virt, level, format_.prot_none(phys, level, shape_));
}

void PageTables::map_swap(uint64_t virt, uint64_t type, uint64_t offset) {
  // pgtable_64.h: type in bits 59-63, the inverted offset in bits 9-58.
  const uint64_t inverted = ~offset & ((uint64_t{1} << 50) - 1);
  set_entry(virt, 1, type << 59 | inverted << 9);
}

}  // namespace kvista::test
