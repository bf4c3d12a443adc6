// x86_64 page tables: what the bits of an entry mean (Intel SDM volume 3, chapter 4; the kernel's
// arch/x86/include/asm/pgtable_types.h and pgtable_64.h). Pure functions on bits.
#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"

namespace kvista::arch::x86_64 {

inline constexpr unsigned kPageShift = 12;
inline constexpr uint64_t kPageSize = uint64_t{1} << kPageShift;
inline constexpr unsigned kEntriesPerTable = 512;

/// The shape of a kernel's page tables.
struct Paging {
  unsigned levels = 4;    ///< 4 or 5
  uint64_t sme_mask = 0;  ///< the memory encryption bit that AMD SME sets in entries, or 0
};

/// Level 1 is a page table (4 KiB pages), 2 a PMD, 3 a PUD, 4 a P4D or PGD, 5 a PGD.
constexpr unsigned level_shift(unsigned level) {
  return kPageShift + 9 * (level - 1);
}
/// Bytes that one entry of `level` maps.
constexpr uint64_t level_size(unsigned level) {
  return uint64_t{1} << level_shift(level);
}
constexpr unsigned index_at(VirtAddr address, unsigned level) {
  return static_cast<unsigned>(address.value >> level_shift(level)) & (kEntriesPerTable - 1);
}
/// The kernel's name of a level: "PGD", "P4D", "PUD", "PMD", "PTE".
const char* level_name(unsigned level, unsigned levels);

/// Whether the upper bits all equal the sign bit, as the processor demands.
bool is_canonical(VirtAddr address, unsigned levels);

enum class EntryKind {
  none,       ///< nothing is mapped
  table,      ///< points to a table of the next lower level
  leaf,       ///< maps memory
  prot_none,  ///< maps memory that no access is allowed to (PROT_NONE, NUMA hinting)
  swap,       ///< the page is in swap, or migrating
};

struct Entry {
  EntryKind kind = EntryKind::none;
  PhysAddr target;           ///< the table, or the first byte of the mapped page
  uint64_t swap_type = 0;    ///< kind swap
  uint64_t swap_offset = 0;  ///< kind swap
};

/// Decodes entry `raw` of `level`. Frame numbers of PROT_NONE entries are stored inverted since the L1TF
/// mitigation (6b28baca9b1f, 4.19) and given here as they are meant.
Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging);

/// The flags of an entry for people: "PRESENT|RW|NX".
std::string describe_flags(uint64_t raw);

}  // namespace kvista::arch::x86_64
