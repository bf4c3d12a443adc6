// Bitmaps with a bit for each of many things, the first in bit 0 of the first byte: as dumps keep page
// frames.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/endian.h"

namespace kvista {

inline constexpr uint64_t kWordBits = 64;

// std::popcount is a call into libgcc where the compiler may not assume the instruction, as on x86_64's
// baseline.
constexpr unsigned count_ones(uint64_t word) {
  word -= word >> 1 & 0x5555555555555555;
  word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
  return static_cast<unsigned>((((word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101) >> 56);
}

/// Bits 64 * `index` to 64 * `index` + 63: whatever the host's byte order, the lowest of them is bit 0.
inline uint64_t load_bits(std::span<const std::byte> bits, uint64_t index) {
  return load<uint64_t>(&bits[index * 8], ByteOrder::little);
}
inline void store_bits(std::span<std::byte> bits, uint64_t index, uint64_t word) {
  store(&bits[index * 8], word, ByteOrder::little);
}

/// A word in which the bits [from, to) are set; from <= to <= 64.
constexpr uint64_t mask_bits(uint64_t from, uint64_t to) {
  const uint64_t below = to == kWordBits ? UINT64_MAX : (uint64_t{1} << to) - 1;
  return from == kWordBits ? 0 : below & (UINT64_MAX << from);
}

/// Replaces each word that holds any of the bits [from, to) by `change(word, mask of those bits)`.
template <typename Change>
void change_bits(std::span<std::byte> bits, uint64_t from, uint64_t to, Change change) {
  for (uint64_t index = from / kWordBits; index * kWordBits < to; ++index) {
    const uint64_t first = index * kWordBits;
    const uint64_t mask = mask_bits(from > first ? from - first : 0, std::min(to - first, kWordBits));
    store_bits(bits, index, change(load_bits(bits, index), mask));
  }
}
inline void set_bits(std::span<std::byte> bits, uint64_t from, uint64_t to) {
  change_bits(bits, from, to, [](uint64_t word, uint64_t mask) { return word | mask; });
}
inline void clear_bits(std::span<std::byte> bits, uint64_t from, uint64_t to) {
  change_bits(bits, from, to, [](uint64_t word, uint64_t mask) { return word & ~mask; });
}

/// How many bits are set; `bits` is whole words.
inline uint64_t count_bits(std::span<const std::byte> bits) {
  uint64_t count = 0;
  for (uint64_t index = 0; index < bits.size() / 8; ++index) count += count_ones(load_bits(bits, index));
  return count;
}

/// Calls `visit(from, to)` for each run of set bits, in order; `bits` is whole words.
template <typename Visit>
void for_each_run(std::span<const std::byte> bits, Visit visit) {
  const uint64_t size = bits.size() * 8;
  // The next bit from `at` on that is set, or with `invert` clear.
  const auto next = [&](uint64_t at, bool invert) {
    while (at < size) {
      uint64_t word = load_bits(bits, at / kWordBits);
      word = (invert ? ~word : word) & mask_bits(at % kWordBits, kWordBits);
      if (word != 0) return at / kWordBits * kWordBits + static_cast<unsigned>(std::countr_zero(word));
      at = (at / kWordBits + 1) * kWordBits;
    }
    return size;
  };
  for (uint64_t from = next(0, false); from < size;) {
    const uint64_t to = next(from, true);
    visit(from, to);
    from = next(to, false);
  }
}

}  // namespace kvista
