#include "image/extent_map.h"

#include <gtest/gtest.h>

namespace kvista::image {
namespace {

Extent whole(uint64_t start, uint64_t size, uint64_t offset) {
  return {PhysAddr{start}, size, size, size, offset};
}

TEST(ExtentMap, FindsNothingWhenItIsEmpty) {
  const ExtentMap map;
  EXPECT_EQ(map.find(PhysAddr{0}).state, PageState::beyond);
  EXPECT_EQ(map.find(PhysAddr{0}).size, 0U);
  EXPECT_TRUE(map.ranges().empty());
  EXPECT_EQ(map.overlap(), 0U);
}

TEST(ExtentMap, FindsTheFirstAndTheLastByte) {
  const ExtentMap map({whole(0x1000, 0x2000, 0x100)});
  const auto first = map.find(PhysAddr{0x1000});
  EXPECT_EQ(first.state, PageState::present);
  EXPECT_EQ(first.offset, 0x100U);
  EXPECT_EQ(first.size, 0x2000U);
  const auto last = map.find(PhysAddr{0x2fff});
  EXPECT_EQ(last.offset, 0x20ffU);
  EXPECT_EQ(last.size, 1U);
  EXPECT_EQ(map.find(PhysAddr{0xfff}).state, PageState::beyond);
  EXPECT_EQ(map.find(PhysAddr{0x3000}).state, PageState::beyond);
}

TEST(ExtentMap, SortsWhatComesUnsorted) {
  const ExtentMap map({whole(0x9000, 0x1000, 2), whole(0x1000, 0x1000, 0), whole(0x5000, 0x1000, 1)});
  EXPECT_EQ(map.find(PhysAddr{0x1000}).offset, 0U);
  EXPECT_EQ(map.find(PhysAddr{0x5000}).offset, 1U);
  EXPECT_EQ(map.find(PhysAddr{0x9000}).offset, 2U);
  EXPECT_EQ(map.find(PhysAddr{0x3000}).state, PageState::beyond);
}

TEST(ExtentMap, TellsPresentLostAndAbsentMemoryApart) {
  // 0x4000 bytes of memory, of which 0x3000 were written, of which 0x1000 are still there.
  const ExtentMap map({Extent{PhysAddr{0x10000}, 0x4000, 0x3000, 0x1000, 0x40}});
  const auto present = map.find(PhysAddr{0x10800});
  EXPECT_EQ(present.state, PageState::present);
  EXPECT_EQ(present.size, 0x800U);
  const auto lost = map.find(PhysAddr{0x11000});
  EXPECT_EQ(lost.state, PageState::lost);
  EXPECT_EQ(lost.size, 0x2000U);
  const auto absent = map.find(PhysAddr{0x13000});
  EXPECT_EQ(absent.state, PageState::absent);
  EXPECT_EQ(absent.size, 0x1000U);
  EXPECT_EQ(map.find(PhysAddr{0x14000}).state, PageState::beyond);
}

TEST(ExtentMap, JoinsTouchingExtentsOnlyInItsRanges) {
  const ExtentMap map(
      {whole(0x1000, 0x1000, 0), whole(0x2000, 0x1000, 0x8000), whole(0x4000, 0x1000, 0x9000)});
  EXPECT_EQ(map.extents().size(), 3U);
  const auto ranges = map.ranges();
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[0], (PhysRange{PhysAddr{0x1000}, 0x2000}));
  EXPECT_EQ(ranges[1], (PhysRange{PhysAddr{0x4000}, 0x1000}));
}

TEST(ExtentMap, CountsMemoryOfTwoExtentsOnce) {
  const ExtentMap map({whole(0x1000, 0x3000, 0), whole(0x3000, 0x3000, 0x10000)});
  EXPECT_EQ(map.overlap(), 0x1000U);
  EXPECT_EQ(map.find(PhysAddr{0x3800}).offset, 0x2800U) << "the extent that starts first is used";
  EXPECT_EQ(map.find(PhysAddr{0x4000}).offset, 0x11000U);
  const auto ranges = map.ranges();
  ASSERT_EQ(ranges.size(), 1U);
  EXPECT_EQ(ranges[0], (PhysRange{PhysAddr{0x1000}, 0x5000}));
}

TEST(ExtentMap, DropsAnExtentWithinAnother) {
  const ExtentMap map(
      {whole(0x2000, 0x1000, 0x50000), whole(0x1000, 0x8000, 0), whole(0x4000, 0x1000, 0x60000)});
  EXPECT_EQ(map.overlap(), 0x2000U);
  EXPECT_EQ(map.extents().size(), 1U);
  EXPECT_EQ(map.find(PhysAddr{0x2000}).offset, 0x1000U);
}

TEST(ExtentMap, TakesTheLongerOfTwoThatStartTogether) {
  const ExtentMap map({whole(0x1000, 0x1000, 0x50000), whole(0x1000, 0x8000, 0)});
  EXPECT_EQ(map.find(PhysAddr{0x1000}).offset, 0U);
  EXPECT_EQ(map.overlap(), 0x1000U);
}

TEST(ExtentMap, KeepsStatesOfTheTailThatAnOverlapLeaves) {
  // The second one's first 0x1000 are covered; of the rest 0x1000 are there and 0x2000 are absent.
  const ExtentMap map({whole(0x1000, 0x2000, 0), Extent{PhysAddr{0x2000}, 0x4000, 0x2000, 0x2000, 0x10000}});
  EXPECT_EQ(map.find(PhysAddr{0x3000}).state, PageState::present);
  EXPECT_EQ(map.find(PhysAddr{0x3000}).offset, 0x11000U);
  EXPECT_EQ(map.find(PhysAddr{0x3000}).size, 0x1000U);
  EXPECT_EQ(map.find(PhysAddr{0x4000}).state, PageState::absent);
  EXPECT_EQ(map.find(PhysAddr{0x4000}).size, 0x2000U);
}

TEST(ExtentMap, IgnoresEmptyExtents) {
  const ExtentMap map({whole(0x1000, 0, 0), whole(0x1000, 0x1000, 0x20)});
  EXPECT_EQ(map.extents().size(), 1U);
  EXPECT_EQ(map.find(PhysAddr{0x1000}).offset, 0x20U);
}

TEST(ExtentMap, ReachesTheEndOfTheAddressSpace) {
  const uint64_t start = UINT64_MAX - 0xfff;
  const ExtentMap map({whole(start, 0xfff, 0)});
  EXPECT_EQ(map.find(PhysAddr{UINT64_MAX - 1}).state, PageState::present);
  EXPECT_EQ(map.find(PhysAddr{UINT64_MAX - 1}).size, 1U);
  EXPECT_EQ(map.find(PhysAddr{UINT64_MAX}).state, PageState::beyond);
}

TEST(ExtentMap, CoversDisjointMemoryWhateverItIsGiven) {
  // Every arrangement of three extents within a few units: the sum of sizes minus the overlap is what is
  // covered.
  for (unsigned code = 0; code < 6 * 6 * 6; ++code) {
    std::vector<Extent> extents;
    uint64_t total = 0;
    unsigned rest = code;
    for (uint64_t i = 0; i < 3; ++i, rest /= 6) {
      extents.push_back(whole(rest % 3, 1 + rest % 6 / 3 * 2, 100 * i));
      total += extents.back().size;
    }
    const ExtentMap map(extents);
    uint64_t covered = 0;
    for (const PhysRange& range : map.ranges()) covered += range.size;
    ASSERT_EQ(covered, total - map.overlap()) << "arrangement " << code;
    for (uint64_t at = 0; at < 8; ++at) {
      bool held = false;
      for (const Extent& e : extents) held = held || (at >= e.start.value && at < e.end().value);
      ASSERT_EQ(map.find(PhysAddr{at}).state == PageState::present, held)
          << "arrangement " << code << " at " << at;
    }
  }
}

}  // namespace
}  // namespace kvista::image
