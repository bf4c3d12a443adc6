// How the kernel's locks keep who waits for them.
#pragma once

#include <array>

#include "unwind/locks.h"

namespace kvista::unwind {

/// Their struct, with their task, in a list from the lock on.
struct LockForm {
  LockType type;
  const char* name;
  const char* struct_name;
  const char* waiter;
};
inline constexpr std::array kLockForms = {
    LockForm{LockType::mutex, "mutex", "mutex", "mutex_waiter"},
    LockForm{LockType::rwsem, "rwsem", "rw_semaphore", "rwsem_waiter"},
    LockForm{LockType::rt_mutex, "rt_mutex", "rt_mutex", "rt_mutex_waiter"},
    LockForm{LockType::semaphore, "semaphore", "semaphore", "semaphore_waiter"}};

inline const LockForm& form_of(LockType type) {
  return kLockForms.at(static_cast<size_t>(type));
}

/// More than ever wait for one.
inline constexpr size_t kMostWaiters = 100'000;

}  // namespace kvista::unwind
