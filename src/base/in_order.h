// Results that threads finish in any order, taken in the order of their numbers.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace kvista {

/// Numbers go from 0 on without a gap. At most `room` results wait; who brings one that is farther ahead
/// waits himself, so that memory is bounded. `take` is called by one thread at a time.
template <typename T>
class InOrder {
 public:
  InOrder(size_t room, std::function<void(T)> take) : take_(std::move(take)), parked_(room) {}

  /// Hands over result `number`. Where `take` throws, the exception leaves the put() that called it, and all
  /// later results are dropped, as after stop().
  void put(size_t number, T result) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || number < next_ + parked_.size(); });
    if (failed_) return;
    parked_[number % parked_.size()] = std::move(result);
    if (taking_) return;
    taking_ = true;
    while (!failed_ && front()) take_front(lock);
    taking_ = false;
  }

  /// A result will never come: nobody waits for it any more.
  void stop() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    changed_.notify_all();
  }

 private:
  std::optional<T>& front() { return parked_[next_ % parked_.size()]; }

  void take_front(std::unique_lock<std::mutex>& lock) {
    T result = std::move(*front());
    front().reset();
    lock.unlock();
    try {
      take_(std::move(result));
    } catch (...) {
      stop();
      throw;
    }
    lock.lock();
    ++next_;
    changed_.notify_all();
  }

  std::function<void(T)> take_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<T>> parked_;
  size_t next_ = 0;
  bool taking_ = false;
  bool failed_ = false;
};

}  // namespace kvista
