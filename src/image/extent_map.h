// Where in a file each stretch of physical memory is.
#pragma once

#include <algorithm>
#include <cstddef>
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
  PageState rest = PageState::absent;  ///< of what is behind file_size
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

  /// As MemoryImage::clear_missing.
  void clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const;

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

/// Reads memory as `extents` say where it is: `read_at(offset, part)` gives a ReadResult of bytes that stand
/// in one piece. What is known to be zeros is read as such.
template <typename ReadAt>
ReadResult read_extents(const ExtentMap& extents, PhysAddr address, std::span<std::byte> out,
                        ReadAt read_at) {
  size_t done = 0;
  while (done < out.size()) {
    const auto place = extents.find(address + done);
    const auto part = out.subspan(done, std::min<uint64_t>(place.size, out.size() - done));
    if (place.state == PageState::zero_elided) {
      std::fill(part.begin(), part.end(), std::byte{0});
      done += part.size();
      continue;
    }
    if (place.state != PageState::present) return {done, place.state};
    const ReadResult result = read_at(place.offset, part);
    done += result.done;
    if (result.state != PageState::present) return {done, result.state};
  }
  return {done, PageState::present};
}

/// What `got` of the bytes of `part` is as the outcome of a read.
inline ReadResult read_outcome(std::span<const std::byte> part, size_t got) {
  return {got, got < part.size() ? PageState::unreadable : PageState::present};
}

}  // namespace kvista::image
