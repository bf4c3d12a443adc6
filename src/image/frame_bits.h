// Bits of page frames against ranges of memory.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/address.h"

namespace kvista::image {

/// Clears the bits of frames that are not wholly held: `bits` has one for each frame from `first` on.
/// `next_held(at)` gives the range of held memory that holds `at`, else the next behind it; an empty one
/// where there is none.
void clear_outside(Pfn first, unsigned page_shift, std::span<std::byte> bits,
                   const std::function<PhysRange(PhysAddr)>& next_held);
/// The same for sorted, disjoint ranges.
void clear_outside(Pfn first, unsigned page_shift, std::span<std::byte> bits,
                   std::span<const PhysRange> held);

}  // namespace kvista::image
