#include "base/in_order.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/parallel.h"

namespace kvista {
namespace {

TEST(InOrder, TakesResultsByTheirNumbersWhateverThreadHasThemFirst) {
  constexpr size_t kItems = 20000;
  std::vector<size_t> taken;
  InOrder<size_t> in_order(6, [&](size_t item) { taken.push_back(item); });
  parallel_for(kItems, 4, [&](size_t item, unsigned /*worker*/) {
    if (item % 7 == 0) std::this_thread::yield();
    in_order.put(item, item);
  });
  ASSERT_EQ(taken.size(), kItems);
  for (size_t i = 0; i < kItems; ++i) ASSERT_EQ(taken[i], i);
}

TEST(InOrder, HoldsNoMoreThanItHasRoomFor) {
  std::atomic<size_t> waiting = 0;
  std::atomic<bool> second_is_in = false;
  std::vector<size_t> taken;
  InOrder<size_t> in_order(2, [&](size_t item) { taken.push_back(item); });
  std::thread ahead([&] {
    in_order.put(1, 1);
    ++waiting;
    in_order.put(2, 2);  // has to wait for 0
    second_is_in = true;
  });
  while (waiting == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(second_is_in);
  in_order.put(0, 0);
  ahead.join();
  EXPECT_EQ(taken, (std::vector<size_t>{0, 1, 2}));
}

TEST(InOrder, AFailureEndsAllThreads) {
  InOrder<size_t> in_order(2, [](size_t item) {
    if (item == 10) throw std::runtime_error("full");
  });
  EXPECT_THROW(parallel_for(100000, 4, [&](size_t item, unsigned /*worker*/) { in_order.put(item, item); }),
               std::runtime_error);
}

// The result that the others wait for never comes.
TEST(InOrder, NobodyWaitsForAThreadThatGaveUp) {
  InOrder<size_t> in_order(2, [](size_t /*item*/) {});
  EXPECT_THROW(parallel_for(1000, 4,
                            [&](size_t item, unsigned /*worker*/) {
                              if (item == 10) {
                                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                                in_order.stop();
                                throw std::runtime_error("cannot be read");
                              }
                              in_order.put(item, item);
                            }),
               std::runtime_error);
}

}  // namespace
}  // namespace kvista
