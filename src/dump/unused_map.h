// The memory map of frames that a dump does not hold (makedumpfile's -e).
#pragma once

#include <cstdint>

#include "dump/second_bitmap.h"
#include "machine/address_space.h"
#include "pages/memory_map.h"

namespace kvista::dump {

/// Leaves out of `second` the pages of the memory map all of whose struct pages are of frames that it leaves
/// out. Returns how many it were.
uint64_t leave_out_unused_map(const machine::AddressSpace& space, const pages::MemoryMap& map,
                              SecondBitmap& second);

}  // namespace kvista::dump
