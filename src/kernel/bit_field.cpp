#include "kernel/bit_field.h"

namespace kvista::kernel {

uint64_t extract_bits(std::span<const std::byte> bytes, unsigned offset, unsigned size, ByteOrder order) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i;
    const auto byte = std::to_integer<unsigned>(bytes[at / 8]);
    const bool is_little = order == ByteOrder::little;
    const uint64_t bit = byte >> (is_little ? at % 8 : 7 - at % 8) & 1;
    value |= bit << (is_little ? i : size - 1 - i);
  }
  return value;
}

}  // namespace kvista::kernel
