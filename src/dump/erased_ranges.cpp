#include "dump/erased_ranges.h"

#include <algorithm>
#include <iterator>

namespace kvista::dump {
namespace {

bool is_before(const ErasedRange& a, const ErasedRange& b) {
  return a.where.start < b.where.start;
}

// Those with one fill: sorted, and joined where they touch.
std::vector<ErasedRange> joined(std::vector<ErasedRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), is_before);
  std::vector<ErasedRange> result;
  for (const ErasedRange& range : ranges) {
    if (range.where.size == 0) continue;
    if (result.empty() || result.back().where.end() < range.where.start) {
      result.push_back(range);
      continue;
    }
    PhysRange& last = result.back().where;
    last.size = std::max(last.end(), range.where.end()) - last.start;
  }
  return result;
}

// What of `ranges` is not in `others`; both are sorted and disjoint.
std::vector<ErasedRange> without(const std::vector<ErasedRange>& ranges,
                                 const std::vector<ErasedRange>& others) {
  std::vector<ErasedRange> result;
  auto other = others.begin();
  for (const ErasedRange& range : ranges) {
    PhysAddr at = range.where.start;
    while (other != others.end() && other->where.end() <= at) ++other;
    for (auto next = other; next != others.end() && next->where.start < range.where.end(); ++next) {
      if (at < next->where.start) result.push_back({{at, next->where.start - at}, range.fill});
      at = std::max(at, next->where.end());
    }
    if (at < range.where.end()) result.push_back({{at, range.where.end() - at}, range.fill});
  }
  return result;
}

}  // namespace

ErasedRanges::ErasedRanges(std::vector<ErasedRange> ranges) {
  const auto pointers = std::stable_partition(
      ranges.begin(), ranges.end(), [](const ErasedRange& range) { return range.fill == kErasedData; });
  const auto of_pointers = joined({pointers, ranges.end()});
  ranges.erase(pointers, ranges.end());
  const auto of_data = joined(std::move(ranges));
  const auto others = without(of_pointers, of_data);
  std::merge(of_data.begin(), of_data.end(), others.begin(), others.end(), std::back_inserter(ranges_),
             is_before);
}

uint64_t ErasedRanges::bytes() const {
  uint64_t bytes = 0;
  for (const ErasedRange& range : ranges_) bytes += range.where.size;
  return bytes;
}

std::span<const ErasedRange> ErasedRanges::within(const PhysRange& where) const {
  if (ranges_.empty()) return {};
  const auto first = std::partition_point(ranges_.begin(), ranges_.end(), [&](const ErasedRange& range) {
    return range.where.end() <= where.start;
  });
  const auto last = std::partition_point(
      first, ranges_.end(), [&](const ErasedRange& range) { return range.where.start < where.end(); });
  return {first, last};
}

void ErasedRanges::apply(PhysAddr at, std::span<std::byte> bytes) const {
  const PhysRange where{at, bytes.size()};
  for (const ErasedRange& range : within(where)) {
    const PhysAddr from = std::max(range.where.start, where.start);
    const PhysAddr to = std::min(range.where.end(), where.end());
    std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(from - at), to - from, range.fill);
  }
}

}  // namespace kvista::dump
