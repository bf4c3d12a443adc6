// Look-up of kallsyms' symbols by name.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "decode/kallsyms.h"

namespace kvista::decode {

/// Kernels since 6.2 (60443c88f3a8) carry the symbols' numbers sorted by name; where they do, only the names
/// on the way of a binary search are read. Where they do not, or the order is damaged, the first look-up goes
/// once through all names and keeps a hash of each. Safe to use from several threads.
class KallsymsLookup {
 public:
  /// `table` must live longer.
  explicit KallsymsLookup(const Kallsyms& table);

  /// The numbers of all symbols of that name, ascending.
  std::vector<size_t> find(std::string_view name) const;
  /// Whether the kernel's own sorted numbers are used.
  bool is_sorted() const { return sorted_.has_value(); }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t number = 0;  // of the symbol, and 1
  };
  std::optional<size_t> number_at(size_t position) const;
  bool looks_sorted(VirtAddr place);
  std::optional<std::vector<size_t>> find_sorted(std::string_view name) const;
  std::vector<size_t> find_hashed(std::string_view name) const;
  void fill_slots() const;

  const Kallsyms& table_;
  std::optional<VirtAddr> sorted_;
  mutable std::once_flag once_;
  mutable std::vector<Slot> slots_;
};

}  // namespace kvista::decode
