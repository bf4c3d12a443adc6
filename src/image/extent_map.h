// Where in a file each stretch of physical memory is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/address.h"
#include "image/memory_image.h"

namespace kvista::image {

/// `size` bytes of physical memory from `start`; the first `file_size` of them were written to the file at
/// `offset`, and the first `available` of those are really there (less where the file is cut short).
struct Extent {
  PhysAddr start;
  uint64_t size = 0;
  uint64_t file_size = 0;
  uint64_t available = 0;
  uint64_t offset = 0;
  PhysAddr end() const { return start + size; }
};

/// Sorted, disjoint extents with look-up by address.
class ExtentMap {
 public:
  ExtentMap() = default;
  /// Memory that two extents hold is taken from the one that starts first (of those, the longer one).
  /// None of them may wrap around the end of the address space.
  explicit ExtentMap(std::vector<Extent> extents);

  std::span<const Extent> extents() const { return extents_; }
  /// Bytes of memory that more than one of the given extents held.
  uint64_t overlap() const { return overlap_; }
  /// The covered memory, with touching extents joined.
  std::vector<PhysRange> ranges() const;
  /// The part of it whose bytes are there.
  std::vector<PhysRange> stored() const;

  /// What the file holds for memory from an address on: `size` bytes at `offset` where `state` is present,
  /// else `size` bytes of that state. `size` is 0 only for `beyond`.
  struct Place {
    PageState state = PageState::beyond;
    uint64_t offset = 0;
    uint64_t size = 0;
  };
  Place find(PhysAddr address) const;

 private:
  std::vector<Extent> extents_;
  uint64_t overlap_ = 0;
};

}  // namespace kvista::image
