// What is overwritten in the pages of a dump before they are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"

namespace kvista::dump {

/// Each byte of `where` becomes `fill`.
struct ErasedRange {
  PhysRange where;
  std::byte fill{};
  friend bool operator==(const ErasedRange&, const ErasedRange&) = default;
};

/// What data is filled with (makedumpfile's own), and pointers.
inline constexpr std::byte kErasedData{'X'};
inline constexpr std::byte kErasedPointer{0};

class ErasedRanges {
 public:
  ErasedRanges() = default;
  /// In any order, and they may overlap: what is erased as data anywhere is filled as data.
  explicit ErasedRanges(std::vector<ErasedRange> ranges);

  bool empty() const { return ranges_.empty(); }
  /// Sorted and disjoint.
  std::span<const ErasedRange> all() const { return ranges_; }
  /// Each byte counted once.
  uint64_t bytes() const;
  /// Those that have bytes in `where`.
  std::span<const ErasedRange> within(const PhysRange& where) const;

  /// Overwrites what of them is in the memory that begins at `at`, of which `bytes` is a copy.
  void apply(PhysAddr at, std::span<std::byte> bytes) const;

 private:
  std::vector<ErasedRange> ranges_;
};

/// What rules name in one kernel.
struct Erasure {
  ErasedRanges ranges;
  uint64_t places = 0;  ///< each as often as rules name it
  std::string record;   ///< the rules with what they named, for the dump's eraseinfo
};

}  // namespace kvista::dump
