#include "image/extent_map.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "image/frame_bits.h"

namespace kvista::image {
namespace {

// The part of `extent` from `skip` bytes on.
Extent without_front(const Extent& extent, uint64_t skip) {
  const auto left = [skip](uint64_t n) { return n > skip ? n - skip : 0; };
  return {extent.start + skip,    extent.size - skip,   left(extent.file_size),
          left(extent.available), extent.offset + skip, extent.rest};
}

// How much of an extent was to be held: also what is known to be zeros, and what was lost.
uint64_t meant_to_be_held(const Extent& extent) {
  const bool is_left_out = extent.rest == PageState::absent || extent.rest == PageState::excluded;
  return is_left_out ? extent.file_size : extent.size;
}

// The first `part` bytes of each extent; what touches is one range.
std::vector<PhysRange> joined(std::span<const Extent> extents, uint64_t Extent::*part) {
  std::vector<PhysRange> ranges;
  for (const Extent& extent : extents) {
    if (extent.*part == 0) continue;
    if (!ranges.empty() && ranges.back().end() == extent.start)
      ranges.back().size += extent.*part;
    else
      ranges.push_back({extent.start, extent.*part});
  }
  return ranges;
}

}  // namespace

ExtentMap::ExtentMap(std::vector<Extent> extents) {
  std::erase_if(extents, [](const Extent& e) { return e.size == 0; });
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::tuple(a.start, b.size) < std::tuple(b.start, a.size);
  });
  extents_.reserve(extents.size());
  PhysAddr covered_to{0};
  for (const Extent& extent : extents) {
    const uint64_t twice = covered_to > extent.start ? std::min(covered_to - extent.start, extent.size) : 0;
    overlap_ += twice;
    if (twice < extent.size) extents_.push_back(without_front(extent, twice));
    covered_to = std::max(covered_to, extent.end());
  }
}

std::vector<PhysRange> ExtentMap::ranges() const {
  return joined(extents_, &Extent::size);
}

std::vector<PhysRange> ExtentMap::stored() const {
  return joined(extents_, &Extent::available);
}

void ExtentMap::clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const {
  clear_outside(first, page_shift, bits, [this](PhysAddr at) {
    auto extent = std::partition_point(extents_.begin(), extents_.end(),
                                       [&](const Extent& e) { return e.start + meant_to_be_held(e) <= at; });
    while (extent != extents_.end() && meant_to_be_held(*extent) == 0) ++extent;
    return extent == extents_.end() ? PhysRange{} : PhysRange{extent->start, meant_to_be_held(*extent)};
  });
}

ExtentMap::Place ExtentMap::find(PhysAddr address) const {
  auto after = std::upper_bound(extents_.begin(), extents_.end(), address,
                                [](PhysAddr a, const Extent& e) { return a < e.start; });
  if (after == extents_.begin()) return {};
  const Extent& extent = *--after;
  const uint64_t into = address - extent.start;
  if (into >= extent.size) return {};
  if (into < extent.available) return {PageState::present, extent.offset + into, extent.available - into};
  if (into < extent.file_size) return {PageState::lost, 0, extent.file_size - into};
  return {extent.rest, 0, extent.size - into};
}

}  // namespace kvista::image
