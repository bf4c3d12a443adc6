#include "base/endian.h"

#include <gtest/gtest.h>

#include "base/address.h"
#include "unit/bytes.h"

namespace kvista {
namespace {

TEST(Endian, LoadsFromAnyAlignment) {
  const test::Bytes bytes = test::bytes_of("\xff\x11\x22\x33\x44\x55\x66\x77\x88");
  EXPECT_EQ(load<uint64_t>(&bytes[1], ByteOrder::little), 0x8877665544332211ULL);
  EXPECT_EQ(load<uint64_t>(&bytes[1], ByteOrder::big), 0x1122334455667788ULL);
  EXPECT_EQ(load<uint32_t>(&bytes[3], ByteOrder::big), 0x33445566U);
  EXPECT_EQ(load<uint16_t>(&bytes[1], ByteOrder::big), 0x1122U);
  EXPECT_EQ(load<uint8_t>(&bytes[1], ByteOrder::big), 0x11U);
}

TEST(Endian, StoresWhatItLoads) {
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
    test::Bytes bytes(9);
    store<uint64_t>(&bytes[1], 0xff11000000000001ULL, order);
    EXPECT_EQ(load<uint64_t>(&bytes[1], order), 0xff11000000000001ULL);
    EXPECT_EQ(std::to_integer<int>(bytes[order == ByteOrder::little ? 1 : 8]), 1);
  }
}

TEST(Address, CheckedSumIsAbsentWhereItDoesNotFit) {
  EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
  EXPECT_EQ(checked_add(UINT64_MAX, 0), UINT64_MAX);
  EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(checked_add(1, UINT64_MAX), std::nullopt);
}

TEST(Address, FramesAndAddressesConvertByPageSize) {
  EXPECT_EQ(pfn_of(PhysAddr{0x12345678}, 12), Pfn{0x12345});
  EXPECT_EQ(phys_of(Pfn{0x12345}, 12), PhysAddr{0x12345000});
  EXPECT_EQ(pfn_of(PhysAddr{0x12345678}, 16), Pfn{0x1234});
}

TEST(Address, RangesContainTheirFirstAndLastAddress) {
  const PhysRange phys{PhysAddr{0x1000}, 0x1000};
  EXPECT_TRUE(phys.contains(PhysAddr{0x1000}));
  EXPECT_TRUE(phys.contains(PhysAddr{0x1fff}));
  EXPECT_FALSE(phys.contains(PhysAddr{0x2000}));
  const VirtRange top{VirtAddr{0xfffffffffffff000}, VirtAddr{UINT64_MAX}};
  EXPECT_TRUE(top.contains(VirtAddr{UINT64_MAX}));
  EXPECT_FALSE(top.contains(VirtAddr{0xffffffffffffefff}));
}

}  // namespace
}  // namespace kvista
