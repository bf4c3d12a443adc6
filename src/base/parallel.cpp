#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace kvista {

unsigned default_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

void parallel_for(size_t items, unsigned threads, const std::function<void(size_t, unsigned)>& work) {
  threads = static_cast<unsigned>(std::clamp<size_t>(items, 1, std::max(threads, 1U)));
  if (threads == 1) {
    for (size_t item = 0; item < items; ++item) work(item, 0);
    return;
  }
  std::atomic<size_t> next = 0;
  std::exception_ptr failure;
  std::mutex failure_lock;
  const auto run = [&](unsigned worker) {
    try {
      for (size_t item = next++; item < items; item = next++) work(item, worker);
    } catch (...) {
      const std::lock_guard lock(failure_lock);
      if (!failure) failure = std::current_exception();
      next = items;
    }
  };
  std::vector<std::thread> pool;
  pool.reserve(threads - 1);
  try {
    for (unsigned worker = 1; worker < threads; ++worker) pool.emplace_back(run, worker);
  } catch (const std::system_error&) {
    // No more threads to be had: the work is done by those that there are.
  }
  run(0);
  for (auto& thread : pool) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace kvista
