// A value that is made when first asked for, from whichever thread.
#pragma once

#include <exception>
#include <mutex>
#include <optional>

namespace kvista {

/// Makes its value once. Where that fails, it fails in the same way each time it is asked for, without trying
/// again.
template <typename T>
class Lazy {
 public:
  template <typename Make>
  T& get(Make make) const {
    std::call_once(once_, [&] {
      try {
        value_.emplace(make());
      } catch (...) {
        failure_ = std::current_exception();
      }
    });
    if (failure_) std::rethrow_exception(failure_);
    return *value_;
  }

 private:
  mutable std::once_flag once_;
  mutable std::optional<T> value_;
  mutable std::exception_ptr failure_;
};

}  // namespace kvista
