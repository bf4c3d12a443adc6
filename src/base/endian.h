// Reading integers of a given byte order from untrusted bytes.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "kvista/byte_order.h"

namespace kvista {

constexpr ByteOrder kHostByteOrder =
    std::endian::native == std::endian::little ? ByteOrder::little : ByteOrder::big;

constexpr uint8_t byte_swap(uint8_t v) {
  return v;
}
constexpr uint16_t byte_swap(uint16_t v) {
  return __builtin_bswap16(v);
}
constexpr uint32_t byte_swap(uint32_t v) {
  return __builtin_bswap32(v);
}
constexpr uint64_t byte_swap(uint64_t v) {
  return __builtin_bswap64(v);
}

/// The unsigned integer of type T at `at`, which need not be aligned. The caller has checked the bounds.
template <std::unsigned_integral T>
T load(const std::byte* at, ByteOrder order) {
  T value{};
  std::memcpy(&value, at, sizeof value);
  return order == kHostByteOrder ? value : byte_swap(value);
}

/// The unsigned integer of 1, 2, 4 or 8 bytes that `bytes` are; other sizes are taken byte by byte.
inline uint64_t load_sized(std::span<const std::byte> bytes, ByteOrder order) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    value = value << 8 | std::to_integer<uint64_t>(bytes[order == ByteOrder::big ? i : bytes.size() - 1 - i]);
  return value;
}

/// Stores `value` at `at` in the given byte order.
template <std::unsigned_integral T>
void store(std::byte* at, T value, ByteOrder order) {
  if (order != kHostByteOrder) value = byte_swap(value);
  std::memcpy(at, &value, sizeof value);
}

}  // namespace kvista
