#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace kvista {
namespace {

TEST(ParallelFor, DoesEachItemOnce) {
  for (const unsigned threads : {0U, 1U, 2U, 7U}) {
    std::vector<std::atomic<int>> done(1000);
    parallel_for(done.size(), threads, [&](size_t item, unsigned /*worker*/) { ++done[item]; });
    for (const auto& count : done) ASSERT_EQ(count, 1) << threads << " threads";
  }
}

TEST(ParallelFor, DoesNothingForNoItems) {
  parallel_for(0, 4, [](size_t, unsigned) { FAIL() << "there is no item"; });
}

TEST(ParallelFor, GivesEachWorkerOneThread) {
  constexpr unsigned kThreads = 4;
  std::vector<std::thread::id> owner(kThreads);
  std::atomic<bool> shared = false;
  parallel_for(1000, kThreads, [&](size_t /*item*/, unsigned worker) {
    ASSERT_LT(worker, kThreads);
    const auto self = std::this_thread::get_id();
    if (owner[worker] == std::thread::id{}) owner[worker] = self;
    if (owner[worker] != self) shared = true;
  });
  EXPECT_FALSE(shared);
}

TEST(ParallelFor, UsesNoMoreWorkersThanItems) {
  std::atomic<unsigned> most = 0;
  parallel_for(2, 64, [&](size_t /*item*/, unsigned worker) {
    if (worker > most) most = worker;
  });
  EXPECT_LT(most, 2U);
}

TEST(ParallelFor, ThrowsTheFirstExceptionAgainAfterAllThreadsHaveStopped) {
  for (const unsigned threads : {1U, 4U}) {
    std::atomic<int> running = 0;
    const auto work = [&](size_t item, unsigned /*worker*/) {
      ++running;
      if (item == 10) {
        --running;
        throw std::runtime_error("item 10");
      }
      std::this_thread::yield();
      --running;
    };
    try {
      parallel_for(100, threads, work);
      FAIL() << "the exception is lost";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "item 10");
    }
    EXPECT_EQ(running, 0);
  }
}

TEST(ParallelFor, LeavesLaterItemsUndoneAfterAnException) {
  std::atomic<size_t> done = 0;
  constexpr size_t kItems = 1'000'000;
  const auto work = [&](size_t item, unsigned /*worker*/) {
    if (item == 0) throw std::runtime_error("at once");
    ++done;
  };
  EXPECT_THROW(parallel_for(kItems, 1, work), std::runtime_error);
  EXPECT_EQ(done, 0U);
}

TEST(ParallelFor, ByDefaultUsesAtLeastOneThread) {
  EXPECT_GE(default_threads(), 1U);
}

}  // namespace
}  // namespace kvista
