// Builds page tables in a test's physical memory.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "images/memory.h"

namespace kvista::test {

/// Page tables: where nothing else is said, they fill a page each.
struct TableShape {
  unsigned page_shift = 12;
  unsigned bits = 48;                     ///< of an address
  uint64_t mask = 0;                      ///< set in all entries: memory encryption
  unsigned lowest_bits = page_shift - 3;  ///< log2 of the entries of a table of level 1 ...
  unsigned table_bits = page_shift - 3;   ///< ... and of those above it

  unsigned levels() const { return 1 + (bits - page_shift - lowest_bits + table_bits - 1) / table_bits; }
  unsigned index_bits(unsigned level) const { return level == 1 ? lowest_bits : table_bits; }
  uint64_t table_size(unsigned level) const { return uint64_t{8} << index_bits(level); }
  /// Of the memory that an entry of `level` stands for.
  uint64_t page_size(unsigned level) const {
    return uint64_t{1} << (level == 1 ? page_shift : page_shift + lowest_bits + table_bits * (level - 2));
  }
  /// Of the table of `level` that an address needs.
  uint64_t index(uint64_t virt, unsigned level) const {
    const uint64_t of_space = bits == 64 ? virt : virt & ((uint64_t{1} << bits) - 1);
    return of_space / page_size(level) % (uint64_t{1} << index_bits(level));
  }
};

/// What the entries of an architecture look like.
struct EntryFormat {
  /// An entry of `level` that leads to a table.
  uint64_t (*table)(uint64_t phys, unsigned level, const TableShape& shape);
  uint64_t (*leaf)(uint64_t phys, unsigned level, const TableShape& shape);
  /// A page that nobody may access.
  uint64_t (*prot_none)(uint64_t phys, unsigned level, const TableShape& shape);
  /// The table that an entry leads to; nothing where it maps memory.
  std::optional<uint64_t> (*next)(uint64_t entry, const TableShape& shape);
  /// What an entry is where nothing is mapped.
  uint64_t (*empty)(unsigned level);
};
extern const EntryFormat kX86Entries;
extern const EntryFormat kArm64Entries;
extern const EntryFormat kRiscv64Entries;
extern const EntryFormat kS390xEntries;

class PageTables {
 public:
  /// `allocate` gives the physical address of fresh memory, zeros, that a table of any level fits.
  PageTables(PhysicalMemory& memory, uint64_t root, const EntryFormat& format, TableShape shape,
             std::function<uint64_t()> allocate)
      : memory_(memory), root_(root), format_(format), shape_(shape), allocate_(std::move(allocate)) {}
  /// x86_64's.
  PageTables(PhysicalMemory& memory, uint64_t root, unsigned levels, uint64_t sme_mask,
             std::function<uint64_t()> allocate)
      : PageTables(memory, root, kX86Entries, {12, 12 + 9 * levels, sme_mask}, std::move(allocate)) {}

  /// Fills the top table with entries that map nothing, where these are not zeros.
  void make_root() { fill_empty(root_, shape_.levels()); }
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
  /// Lets all empty entries of the table of `level` that `virt` needs lead to that table.
  void loop(uint64_t virt, unsigned level);
  /// An entry that leads to a table at `phys`: of `level`, where entries name theirs.
  uint64_t table_entry(uint64_t phys, unsigned level = 2) const { return format_.table(phys, level, shape_); }

  const TableShape& shape() const { return shape_; }
  uint64_t page_size(unsigned level) const { return shape_.page_size(level); }

 private:
  void fill_empty(uint64_t table, unsigned level);

  PhysicalMemory& memory_;
  uint64_t root_;
  const EntryFormat& format_;
  TableShape shape_;
  std::function<uint64_t()> allocate_;
};

}  // namespace kvista::test
