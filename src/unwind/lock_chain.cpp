// From a lock to its owner, to the lock that this one waits for, and so on.
#include <fmt/format.h>

#include "kernel/session.h"
#include "kernel/walk.h"
#include "unwind/locks.h"
#include "unwind/task_stacks.h"

namespace kvista::unwind {
namespace {

using kernel::Session;
using kernel::TaskReader;

constexpr size_t kMostLocks = 64;

std::string owner_text(const kernel::Task& owner) {
  return fmt::format("PID {}", owner.pid ? fmt::format("{}", *owner.pid) : "-");
}

// What keeps an owner that waits for no lock.
std::string why_it_ends(const Lock& lock) {
  if (!lock.owner) {
    if (lock.state.starts_with("unlocked")) return "nobody holds it";
    return lock.state.empty() ? "who holds it is not known" : "nothing says who holds it";
  }
  const std::string who = owner_text(*lock.owner);
  if (lock.owner->is_active) return fmt::format("{} runs on CPU {}", who, lock.owner->cpu.value_or(0));
  return fmt::format("{} (state {}) waits for no lock that can be found", who,
                     lock.owner->state.value_or("not known"));
}

}  // namespace

LockChain follow_lock(const Session& session, const TaskReader& reader, TaskStacks& stacks, LockType type,
                      VirtAddr address) {
  LockChain chain;
  kernel::AddressSet seen;
  seen.insert(address);
  std::optional<BlockedOn> next = BlockedOn{type, address, Known::by_task};
  while (next) {
    const bool is_first = chain.links.empty();
    chain.links.push_back({read_lock(session, reader, next->type, next->address),
                           is_first ? std::nullopt : std::optional(next->known)});
    const Lock& lock = chain.links.back().lock;
    next = lock.owner ? blocked_on(session, stacks, lock.owner->object, chain.fault) : std::nullopt;
    if (!next && !chain.fault.empty()) {
      chain.fault = fmt::format("what {} waits for: {}", owner_text(*lock.owner), chain.fault);
      chain.end = fmt::format("what {} waits for is not known", owner_text(*lock.owner));
    } else if (!next) {
      chain.end = why_it_ends(lock);
    } else if (!seen.insert(next->address)) {
      chain.is_deadlock = true;
      chain.end = fmt::format("{} waits for the {} at {:#x}, which is in this chain: a deadlock",
                              owner_text(*lock.owner), name_of(next->type), next->address.value);
      return chain;
    } else if (chain.links.size() >= kMostLocks) {
      chain.end = fmt::format("not followed further than {} locks", kMostLocks);
      return chain;
    }
  }
  return chain;
}

}  // namespace kvista::unwind
