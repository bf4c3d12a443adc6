#include "image/frame_bits.h"

#include <algorithm>

#include "base/bits.h"

namespace kvista::image {

void clear_outside(Pfn first, unsigned page_shift, std::span<std::byte> bits,
                   const std::function<PhysRange(PhysAddr)>& next_held) {
  const Pfn end = first + bits.size() * 8;
  const PhysAddr limit = phys_of(end, page_shift);
  const uint64_t page_mask = (uint64_t{1} << page_shift) - 1;
  for (PhysAddr at = phys_of(first, page_shift); at < limit;) {
    const PhysRange held = next_held(at);
    const PhysAddr from = std::min(limit, held.size == 0 ? limit : std::max(at, held.start));
    if (from > at)
      clear_bits(bits, pfn_of(at, page_shift) - first,
                 std::min(end, pfn_of(from + page_mask, page_shift)) - first);
    at = held.size == 0 ? limit : std::max(from, held.end());
  }
}

void clear_outside(Pfn first, unsigned page_shift, std::span<std::byte> bits,
                   std::span<const PhysRange> held) {
  clear_outside(first, page_shift, bits, [held](PhysAddr at) {
    const auto range =
        std::partition_point(held.begin(), held.end(), [&](const PhysRange& r) { return r.end() <= at; });
    return range == held.end() ? PhysRange{} : *range;
  });
}

}  // namespace kvista::image
