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

/// Stores `value` at `at` in the given byte order.
template <std::unsigned_integral T>
void store(std::byte* at, T value, ByteOrder order) {
  if (order != kHostByteOrder) value = byte_swap(value);
  std::memcpy(at, &value, sizeof value);
}

}  // namespace kvista
