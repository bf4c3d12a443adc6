#include "kernel/bit_field.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "unit/bytes.h"

namespace kvista::kernel {
namespace {

test::Bytes bytes_of(std::initializer_list<unsigned> values) {
  test::Bytes bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

uint64_t little(std::initializer_list<unsigned> values, unsigned offset, unsigned size) {
  return extract_bits(bytes_of(values), offset, size, ByteOrder::little);
}
uint64_t big(std::initializer_list<unsigned> values, unsigned offset, unsigned size) {
  return extract_bits(bytes_of(values), offset, size, ByteOrder::big);
}

TEST(BitField, IsCountedFromTheLowestBitWhereLittleEndian) {
  EXPECT_EQ(little({0b1011'0100}, 0, 1), 0U);
  EXPECT_EQ(little({0b1011'0100}, 2, 1), 1U);
  EXPECT_EQ(little({0b1011'0100}, 2, 4), 0b1101U);
  EXPECT_EQ(little({0b1011'0100}, 7, 1), 1U);
  EXPECT_EQ(little({0b1011'0100}, 0, 8), 0xb4U);
}

TEST(BitField, IsCountedFromTheHighestBitWhereBigEndian) {
  EXPECT_EQ(big({0b1011'0100}, 0, 1), 1U);
  EXPECT_EQ(big({0b1011'0100}, 1, 1), 0U);
  EXPECT_EQ(big({0b1011'0100}, 2, 4), 0b1101U);
  EXPECT_EQ(big({0b1011'0100}, 7, 1), 0U);
  EXPECT_EQ(big({0b1011'0100}, 0, 8), 0xb4U);
}

TEST(BitField, GoesAcrossBytes) {
  EXPECT_EQ(little({0x34, 0x12}, 4, 8), 0x23U);
  EXPECT_EQ(little({0x34, 0x12, 0x80}, 0, 24), 0x801234U);
  EXPECT_EQ(little({0x80, 0x01}, 7, 2), 0b11U);
  EXPECT_EQ(big({0x12, 0x34}, 4, 8), 0x23U);
  EXPECT_EQ(big({0x80, 0x12, 0x34}, 0, 24), 0x801234U);
  EXPECT_EQ(big({0x01, 0x80}, 7, 2), 0b11U);
}

TEST(BitField, HasUpTo64BitsFromAnyBitOn) {
  EXPECT_EQ(little({0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x81}, 0, 64), 0x8123456789abcdefU);
  EXPECT_EQ(big({0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, 0, 64), 0x8123456789abcdefU);
  // Nine bytes, of which the first has one bit of the field and the last has seven; and the reverse.
  EXPECT_EQ(little({0x80, 0, 0, 0, 0, 0, 0, 0, 0x40}, 7, 64), 0x8000000000000001U);
  EXPECT_EQ(little({0x7f, 0, 0, 0, 0, 0, 0, 0, 0x80}, 7, 64), 0U);
  EXPECT_EQ(big({0x01, 0, 0, 0, 0, 0, 0, 0, 0x02}, 7, 64), 0x8000000000000001U);
  EXPECT_EQ(big({0xfe, 0, 0, 0, 0, 0, 0, 0, 0x01}, 7, 64), 0U);
  EXPECT_EQ(little({0xff}, 3, 0), 0U);
}

// As the compiler of this machine lays it out.
TEST(BitField, IsWhatTheCompilerStores) {
  struct Fields {
    uint32_t first : 3;
    uint32_t second : 11;
    uint32_t third : 18;
    uint64_t fourth : 37;
    uint64_t fifth : 27;
  };
  const Fields fields{5, 0x4d2, 0x2abcd, 0x123456789a, 0x7654321};
  std::array<std::byte, sizeof fields> bytes{};
  std::memcpy(bytes.data(), &fields, sizeof fields);
  const auto field = [&](unsigned offset, unsigned size) {
    return extract_bits(std::span<const std::byte>(bytes).subspan(offset / 8), offset % 8, size,
                        kHostByteOrder);
  };
  EXPECT_EQ(field(0, 3), 5U);
  EXPECT_EQ(field(3, 11), 0x4d2U);
  EXPECT_EQ(field(14, 18), 0x2abcdU);
  EXPECT_EQ(field(64, 37), 0x123456789aU);
  EXPECT_EQ(field(101, 27), 0x7654321U);
}

}  // namespace
}  // namespace kvista::kernel
