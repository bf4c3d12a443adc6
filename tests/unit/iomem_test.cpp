#include <gtest/gtest.h>

#include "image/live.h"

namespace kvista::image {
namespace {

// Of a QEMU guest, abridged.
constexpr std::string_view kGuest =
    "00000000-00000fff : Reserved\n"
    "00001000-0009fbff : System RAM\n"
    "000a0000-000bffff : PCI Bus 0000:00\n"
    "00100000-3ffddfff : System RAM\n"
    "  1a000000-1b0023c7 : Kernel code\n"
    "  1b200000-1b7aafff : Kernel rodata\n"
    "  2b000000-32ffffff : Crash kernel\n"
    "fed00000-fed003ff : HPET 0\n"
    "  fed00000-fed003ff : PNP0103:00\n"
    "100000000-1bfffffff : System RAM\n";

TEST(Iomem, ParsesRangesNamesAndDepth) {
  const auto entries = parse_iomem(kGuest);
  ASSERT_EQ(entries.size(), 10U);
  EXPECT_EQ(entries[1].range, (PhysRange{PhysAddr{0x1000}, 0x9ec00}));
  EXPECT_EQ(entries[1].name, "System RAM");
  EXPECT_EQ(entries[1].depth, 0U);
  EXPECT_EQ(entries[6].name, "Crash kernel");
  EXPECT_EQ(entries[6].depth, 1U);
  EXPECT_EQ(entries[6].range, (PhysRange{PhysAddr{0x2b000000}, 0x8000000}));
  EXPECT_EQ(entries[9].range, (PhysRange{PhysAddr{0x100000000}, 0xc0000000}));
}

TEST(Iomem, KeepsTheZerosThatANormalUserSees) {
  const auto entries = parse_iomem("00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].range.start, PhysAddr{0});
}

TEST(Iomem, NeedsNoFinalNewline) {
  const auto entries = parse_iomem("00001000-0009fbff : System RAM");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].name, "System RAM");
}

TEST(Iomem, KeepsNamesWithColonsAndSpaces) {
  const auto entries = parse_iomem("fec00000-fec003ff : IOAPIC 0 : spare\n");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].name, "IOAPIC 0 : spare");
}

TEST(Iomem, LeavesOutLinesThatMakeNoSense) {
  for (const char* line :
       {"", "\n\n", "    ", "System RAM", "1000 : System RAM", "1000-zz : System RAM", "-2000 : x",
        "2000-1fff : System RAM", "0-ffffffffffffffff : all", "1000-1fff System RAM",
        "1000-10000000000000000 : too long", "0x1000-0x1fff : prefixed", "\x80\xff\x01"})
    EXPECT_TRUE(parse_iomem(line).empty()) << line;
}

TEST(Iomem, GoesOnAfterALineThatMakesNoSense) {
  const auto entries = parse_iomem("garbage\n00001000-00001fff : System RAM\n");
  ASSERT_EQ(entries.size(), 1U);
}

}  // namespace
}  // namespace kvista::image
