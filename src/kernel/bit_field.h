// The bits of a bit-field, by the byte order of its machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/endian.h"

namespace kvista::kernel {

/// `size` bits (at most 64) of `bytes` (at most 9), from bit `offset` on. Bits are counted from the lowest of
/// the first byte where the machine is little-endian, from the highest where it is big-endian, as DWARF's
/// data_bit_offset is.
uint64_t extract_bits(std::span<const std::byte> bytes, unsigned offset, unsigned size, ByteOrder order);

}  // namespace kvista::kernel
