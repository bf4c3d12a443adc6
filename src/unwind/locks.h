// Locks that tasks sleep for: who holds them, who waits, and what the holder waits for in turn.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/tasks.h"

namespace kvista::unwind {

class TaskStacks;

enum class LockType : uint8_t { mutex, rwsem, rt_mutex, semaphore };
/// "mutex", "rwsem", "rt_mutex", "semaphore".
const char* name_of(LockType type);
/// By that name, or that of its struct ("rw_semaphore"); nothing for others.
std::optional<LockType> lock_type(std::string_view name);

struct LockWaiter {
  kernel::Task task;
  const char* wants = "";  ///< of an rwsem "read" or "write"
};

struct Lock {
  LockType type = LockType::mutex;
  VirtAddr address;
  std::string state;                  ///< "locked", "unlocked", "locked by 2 readers"; empty: not known
  std::optional<kernel::Task> owner;  ///< nothing where nobody holds it, or nobody keeps who
  bool owner_is_hint = false;         ///< of many readers, the last that came
  std::vector<LockWaiter> waiters;    ///< in the order in which they get it
  std::vector<std::string> faults;    ///< what is not known, and why
};
/// What a lock says. Never throws.
Lock read_lock(const kernel::Session& session, const kernel::TaskReader& reader, LockType type,
               VirtAddr address);

/// How it is known what a task waits for.
enum class Known : uint8_t {
  by_task,   ///< its task_struct says so
  by_stack,  ///< its entry in the lock's list of waiters was found on its stack
};
struct BlockedOn {
  LockType type = LockType::mutex;
  VirtAddr address;
  Known known = Known::by_task;
};
/// The lock that a task sleeps for. Nothing where it sleeps for none, or none can be found; `fault` then says
/// what cannot be read, if that is why. Never throws.
std::optional<BlockedOn> blocked_on(const kernel::Session& session, TaskStacks& stacks, const Value& task,
                                    std::string& fault);

/// A lock, the one that its owner waits for, and so on.
struct LockChain {
  struct Link {
    Lock lock;
    std::optional<Known> known;  ///< of all but the first: how it is known that the owner before waits for it
  };
  std::vector<Link> links;
  bool is_deadlock = false;  ///< the last link's owner waits for a lock of this chain
  std::string end;           ///< why it ends, in words
  std::string fault;         ///< why it may not be all of it; empty where it is
};
/// Follows owners from a lock on, at most 64 locks. Never throws.
LockChain follow_lock(const kernel::Session& session, const kernel::TaskReader& reader, TaskStacks& stacks,
                      LockType type, VirtAddr address);

}  // namespace kvista::unwind
