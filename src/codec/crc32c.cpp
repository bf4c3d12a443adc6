#include "codec/crc32c.h"

#include <array>

#include "base/endian.h"

namespace kvista::codec {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;
constexpr size_t kSlices = 8;

// Table n has what a byte with n bytes of zeros behind it adds, so that eight bytes need eight independent
// look-ups instead of a chain of eight.
using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice)
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables[slice - 1][byte];
      tables[slice][byte] = crc >> 8 ^ tables[0][crc & 0xff];
    }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c(std::span<const std::byte> bytes) {
  uint32_t crc = ~uint32_t{0};
  while (bytes.size() >= kSlices) {
    const uint64_t eight = load<uint64_t>(bytes.data(), ByteOrder::little) ^ crc;
    crc = 0;
    for (size_t i = 0; i < kSlices; ++i) crc ^= kTables[kSlices - 1 - i][eight >> (8 * i) & 0xff];
    bytes = bytes.subspan(kSlices);
  }
  for (const std::byte byte : bytes)
    crc = crc >> 8 ^ kTables[0][(crc ^ std::to_integer<uint32_t>(byte)) & 0xff];
  return ~crc;
}

}  // namespace kvista::codec
