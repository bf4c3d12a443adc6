// Bytes for tests, and changes to single fields of them.
#pragma once

#include <concepts>
#include <cstddef>
#include <vector>

#include "base/endian.h"
#include "images/elf_builder.h"

namespace kvista::test {

using Bytes = std::vector<std::byte>;

/// `size` bytes that differ from their neighbours; another `seed` gives other bytes.
inline Bytes pattern(size_t size, unsigned seed = 0) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 7 + i / 251 + seed) & 0xff);
  return bytes;
}

/// Writes `value` over what stands at `at`.
template <std::unsigned_integral T>
void put(Bytes& bytes, size_t at, T value, ByteOrder order = ByteOrder::little) {
  if (bytes.size() < at + sizeof value) bytes.resize(at + sizeof value);
  store(&bytes[at], value, order);
}

}  // namespace kvista::test
