// Ranges that are overwritten: how they are put together, and what becomes of memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "dump/erased_ranges.h"

namespace kvista::dump {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ErasedRange data(uint64_t start, uint64_t size) {
  return {{PhysAddr{start}, size}, kErasedData};
}
ErasedRange pointer(uint64_t start, uint64_t size) {
  return {{PhysAddr{start}, size}, kErasedPointer};
}
std::vector<ErasedRange> all(const ErasedRanges& ranges) {
  return {ranges.all().begin(), ranges.all().end()};
}

TEST(ErasedRanges, AreSortedAndJoined) {
  EXPECT_THAT(all(ErasedRanges({data(30, 10), data(0, 5), data(5, 5), data(32, 2), data(60, 0)})),
              ElementsAre(data(0, 10), data(30, 10)));
}

TEST(ErasedRanges, DataIsFilledAsDataWhateverElseIsErasedThere) {
  const ErasedRanges ranges({pointer(0, 100), data(10, 10), pointer(15, 30), data(40, 5), data(95, 10)});
  EXPECT_THAT(all(ranges), ElementsAre(pointer(0, 10), data(10, 10), pointer(20, 20), data(40, 5),
                                       pointer(45, 50), data(95, 10)));
  EXPECT_EQ(ranges.bytes(), 105U);
}

TEST(ErasedRanges, KnowWhichAreWithin) {
  const ErasedRanges ranges({data(10, 10), data(30, 10)});
  EXPECT_THAT(ranges.within({PhysAddr{0}, 10}), IsEmpty());
  EXPECT_THAT(ranges.within({PhysAddr{20}, 10}), IsEmpty());
  EXPECT_THAT(ranges.within({PhysAddr{40}, 10}), IsEmpty());
  EXPECT_THAT(ranges.within({PhysAddr{19}, 1}), ElementsAre(data(10, 10)));
  EXPECT_THAT(ranges.within({PhysAddr{19}, 12}), ElementsAre(data(10, 10), data(30, 10)));
  EXPECT_THAT(ErasedRanges().within({PhysAddr{0}, 10}), IsEmpty());
}

// Against each byte for itself.
TEST(ErasedRanges, OverwriteWhatTheyNameAndNothingElse) {
  constexpr uint64_t kMemory = 200;
  std::minstd_rand random(7);
  for (unsigned round = 0; round < 500; ++round) {
    std::vector<ErasedRange> ranges;
    std::vector<std::byte> expected(kMemory, std::byte{'.'});
    for (unsigned i = 0; i < random() % 12; ++i) {
      const uint64_t start = random() % kMemory;
      const uint64_t size = random() % (kMemory - start);
      ranges.push_back(random() % 2 == 0 ? data(start, size) : pointer(start, size));
      for (uint64_t at = start; at < start + size; ++at)
        if (expected[at] != kErasedData) expected[at] = ranges.back().fill;
    }
    const ErasedRanges erased(ranges);
    // In pieces, as pages are.
    std::vector<std::byte> memory(kMemory, std::byte{'.'});
    for (uint64_t at = 0; at < kMemory; at += 40)
      erased.apply(PhysAddr{at}, std::span(memory).subspan(at, 40));
    ASSERT_EQ(memory, expected);
  }
}

}  // namespace
}  // namespace kvista::dump
