// Page tables of any architecture: their shape as numbers, and what the bits of an entry mean as functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "kvista/byte_order.h"

namespace kvista::arch {

enum class EntryKind {
  none,       ///< nothing is mapped
  table,      ///< points to a table of the next lower level
  leaf,       ///< maps memory
  prot_none,  ///< maps memory that no access is allowed to (PROT_NONE, NUMA hinting, taken out of the map)
  swap,       ///< the page is in swap, or migrating
};

struct Entry {
  EntryKind kind = EntryKind::none;
  PhysAddr target;           ///< the table, or the first byte of the mapped page
  uint64_t swap_type = 0;    ///< kind swap
  uint64_t swap_offset = 0;  ///< kind swap
  /// Where several entries of a table map one page together (RISC-V's Svnapot): log2 of that page's bytes,
  /// and `target` is its first one. 0: the entry maps what its level says.
  uint8_t group_shift = 0;
  /// Kind table: the entries that the table has, where it need not have all (s390x). What it has not is not
  /// mapped.
  uint16_t first = 0;
  uint16_t end = UINT16_MAX;

  bool has(unsigned index) const { return index >= first && index < end; }
};

/// Which addresses one root maps.
enum class Half : uint8_t {
  both,   ///< the lower and the upper ones, by sign extension
  upper,  ///< those whose unused upper bits are all set
  lower,  ///< those whose unused upper bits are all clear
};

struct Paging;

/// What one architecture's page tables have in common, whatever their shape.
struct PagingFormat {
  const char* arch;
  Half half;  ///< of the kernel's root
  ByteOrder order;
  Entry (*decode)(uint64_t raw, unsigned level, const Paging& paging);
  /// The flags of an entry of `level` for people: "PRESENT|RW|NX".
  std::string (*describe_flags)(uint64_t raw, unsigned level);
  /// The address without what a pointer may carry beside it: a tag, a signature. Null: it carries nothing.
  VirtAddr (*strip)(VirtAddr address, const Paging& paging);
};

/// The shape of a kernel's page tables. Entries have 8 bytes. Level 1 maps base pages, the level above it 2.
struct Paging {
  static constexpr unsigned kMostLevels = 6;

  const PagingFormat* format = nullptr;
  unsigned levels = 0;
  /// By level: an entry maps 1 << shift bytes. What follows the top level is the size of the address space.
  std::array<uint8_t, kMostLevels + 2> shifts{};
  uint64_t mask = 0;  ///< bits that memory encryption sets in entries, which are no part of an address
  /// Upper bits of an index into the top table that are as those above them: its addresses have so many bits
  /// less than the table is for.
  uint8_t unused_bits = 0;

  unsigned table_bits() const { return shifts[levels + 1]; }
  unsigned address_bits() const { return table_bits() - unused_bits; }
  unsigned page_shift() const { return shifts[1]; }
  /// Bytes that one entry of `level` maps.
  uint64_t entry_size(unsigned level) const { return uint64_t{1} << shifts[level]; }
  /// Bytes of the page that an entry of `level` maps, which is more where entries map one together.
  uint64_t page_bytes(const Entry& entry, unsigned level) const {
    return entry.group_shift == 0 ? entry_size(level) : uint64_t{1} << entry.group_shift;
  }
  unsigned entries(unsigned level) const { return 1U << (shifts[level + 1] - shifts[level]); }
  uint64_t table_bytes(unsigned level) const { return uint64_t{entries(level)} * sizeof(uint64_t); }
  unsigned index_at(VirtAddr address, unsigned level) const {
    return static_cast<unsigned>(address.value >> shifts[level]) & (entries(level) - 1);
  }
  /// Whether the bits above address_bits() are as the processor demands.
  bool is_canonical(VirtAddr address) const { return canonical(address) == address; }
  /// The address with those bits as the processor demands.
  VirtAddr canonical(VirtAddr address) const;
  VirtAddr strip(VirtAddr address) const {
    return format->strip == nullptr ? address : format->strip(address, *this);
  }
  Entry decode(uint64_t raw, unsigned level) const { return format->decode(raw, level, *this); }
  /// The kernel's name of a level: "PGD", "P4D", "PUD", "PMD", "PTE".
  const char* level_name(unsigned level) const;
};

/// Tables that fill one page each, but for the top one, which maps what is left of `address_bits`. Nothing
/// where that takes more levels than there can be.
std::optional<Paging> regular_paging(const PagingFormat& format, unsigned page_shift, unsigned address_bits);

}  // namespace kvista::arch
