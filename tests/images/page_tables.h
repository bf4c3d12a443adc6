// Builds page tables in a test's physical memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "images/memory.h"

namespace kvista::test {

/// Page tables that fill a page each, but for the top one.
struct TableShape {
  unsigned page_shift = 12;
  unsigned bits = 48;  ///< of an address
  uint64_t mask = 0;   ///< set in all entries: memory encryption

  unsigned levels() const { return (bits - page_shift + page_shift - 4) / (page_shift - 3); }
  uint64_t page_size(unsigned level) const {
    return uint64_t{1} << (page_shift + (page_shift - 3) * (level - 1));
  }
  /// Of the table of `level` that an address needs.
  uint64_t index(uint64_t virt, unsigned level) const {
    const uint64_t of_space = bits == 64 ? virt : virt & ((uint64_t{1} << bits) - 1);
    return of_space / page_size(level) % (uint64_t{1} << (page_shift - 3));
  }
};

/// What the entries of an architecture look like.
struct EntryFormat {
  uint64_t (*table)(uint64_t phys, const TableShape& shape);
  uint64_t (*leaf)(uint64_t phys, unsigned level, const TableShape& shape);
  /// A page that nobody may access.
  uint64_t (*prot_none)(uint64_t phys, unsigned level, const TableShape& shape);
  /// The table that an entry leads to; nothing where it maps memory.
  std::optional<uint64_t> (*next)(uint64_t entry, const TableShape& shape);
};
extern const EntryFormat kX86Entries;
extern const EntryFormat kArm64Entries;
extern const EntryFormat kRiscv64Entries;

class PageTables {
 public:
  /// `allocate` gives the physical address of a fresh page for a table.
  PageTables(PhysicalMemory& memory, uint64_t root, const EntryFormat& format, TableShape shape,
             std::function<uint64_t()> allocate)
      : memory_(memory), root_(root), format_(format), shape_(shape), allocate_(std::move(allocate)) {}
  /// x86_64's.
  PageTables(PhysicalMemory& memory, uint64_t root, unsigned levels, uint64_t sme_mask,
             std::function<uint64_t()> allocate)
      : PageTables(memory, root, kX86Entries, {12, 12 + 9 * levels, sme_mask}, std::move(allocate)) {}

  /// Maps one page: 4 KiB at level 1, 2 MiB at level 2, 1 GiB at level 3, where base pages have 4 KiB.
  void map_page(uint64_t virt, uint64_t phys, unsigned level);
  /// Maps a run with the largest leaves, up to `largest`, that its ends and its alignment allow.
  void map(uint64_t virt, uint64_t phys, uint64_t size, unsigned largest);
  /// A page that nobody may access.
  void map_prot_none(uint64_t virt, uint64_t phys, unsigned level);
  /// A page in swap, as x86_64 has it.
  void map_swap(uint64_t virt, uint64_t type, uint64_t offset);
  /// Where the entry of `level` for `virt` is; makes the tables above it.
  uint64_t entry_at(uint64_t virt, unsigned level);
  /// Writes an entry as it is.
  void set_entry(uint64_t virt, unsigned level, uint64_t raw);
  /// An entry that leads to a table at `phys`.
  uint64_t table_entry(uint64_t phys) const { return format_.table(phys, shape_); }

  const TableShape& shape() const { return shape_; }
  uint64_t page_size(unsigned level) const { return shape_.page_size(level); }

 private:
  PhysicalMemory& memory_;
  uint64_t root_;
  const EntryFormat& format_;
  TableShape shape_;
  std::function<uint64_t()> allocate_;
};

}  // namespace kvista::test
