#include "base/bits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace kvista {
namespace {

TEST(Bits, MasksAreOfTheBitsFromOneToBeforeAnother) {
  EXPECT_EQ(mask_bits(0, 64), UINT64_MAX);
  EXPECT_EQ(mask_bits(0, 0), 0U);
  EXPECT_EQ(mask_bits(64, 64), 0U);
  EXPECT_EQ(mask_bits(3, 5), 0x18U);
}

// What a plain vector of bools does with the same calls.
TEST(Bits, DoWhatAVectorOfBoolsDoes) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<std::byte> bits(64);
  std::vector<bool> right(bits.size() * 8);
  for (int round = 0; round < 500; ++round) {
    uint64_t from = random() % (right.size() + 1);
    uint64_t to = random() % (right.size() + 1);
    if (to < from) std::swap(from, to);
    const bool value = random() % 2 == 0;
    if (value)
      set_bits(bits, from, to);
    else
      clear_bits(bits, from, to);
    std::fill(right.begin() + static_cast<ptrdiff_t>(from), right.begin() + static_cast<ptrdiff_t>(to),
              value);
    std::vector<bool> seen(right.size());
    uint64_t last = 0;
    for_each_run(bits, [&](uint64_t first, uint64_t end) {
      ASSERT_LT(first, end);
      ASSERT_TRUE(first == 0 || first > last) << "two runs that touch";
      last = end;
      std::fill(seen.begin() + static_cast<ptrdiff_t>(first), seen.begin() + static_cast<ptrdiff_t>(end),
                true);
    });
    ASSERT_EQ(seen, right);
    ASSERT_EQ(count_bits(bits), static_cast<uint64_t>(std::count(right.begin(), right.end(), true)));
  }
}

}  // namespace
}  // namespace kvista
