// Builds x86_64 page tables in a test's physical memory.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "images/memory.h"

namespace kvista::test {

class PageTables {
 public:
  /// `allocate` gives the physical address of a fresh page for a table.
  PageTables(PhysicalMemory& memory, uint64_t root, unsigned levels, uint64_t sme_mask,
             std::function<uint64_t()> allocate)
      : memory_(memory), root_(root), levels_(levels), sme_mask_(sme_mask), allocate_(std::move(allocate)) {}

  /// Maps one page: 4 KiB at level 1, 2 MiB at level 2, 1 GiB at level 3.
  void map_page(uint64_t virt, uint64_t phys, unsigned level);
  /// Maps a run with the largest leaves, up to `largest`, that its ends and its alignment allow.
  void map(uint64_t virt, uint64_t phys, uint64_t size, unsigned largest);
  /// A page that nobody may access, its frame number inverted (the L1TF mitigation).
  void map_prot_none(uint64_t virt, uint64_t phys, unsigned level);
  /// A page in swap.
  void map_swap(uint64_t virt, uint64_t type, uint64_t offset);
  /// Where the entry of `level` for `virt` is; makes the tables above it.
  uint64_t entry_at(uint64_t virt, unsigned level);
  /// Writes an entry as it is.
  void set_entry(uint64_t virt, unsigned level, uint64_t raw);
  /// The bits that an entry pointing to a table at `phys` has.
  uint64_t table_entry(uint64_t phys) const { return phys | 0x63 | sme_mask_; }

  static uint64_t page_size(unsigned level) { return kPage << (9 * (level - 1)); }

 private:
  PhysicalMemory& memory_;
  uint64_t root_;
  unsigned levels_;
  uint64_t sme_mask_;
  std::function<uint64_t()> allocate_;
};

}  // namespace kvista::test
