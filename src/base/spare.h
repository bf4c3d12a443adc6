// Things that are used again and again, by several threads.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

namespace kvista {

/// What was put here is taken again, the newest first, whose memory is most likely still in a cache.
template <typename T>
class Spare {
 public:
  /// One that was put here, as it was, or a new one.
  T take() {
    const std::lock_guard lock(mutex_);
    if (things_.empty()) return T();
    T thing = std::move(things_.back());
    things_.pop_back();
    return thing;
  }
  void put(T thing) {
    const std::lock_guard lock(mutex_);
    things_.push_back(std::move(thing));
  }

 private:
  std::mutex mutex_;
  std::vector<T> things_;
};

}  // namespace kvista
