// The lock that a task sleeps for: what its task_struct says, or what is on its stack.
#include <algorithm>
#include <array>

#include "base/endian.h"
#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "unwind/lock_forms.h"
#include "unwind/task_stacks.h"

namespace kvista::unwind {
namespace {

using kernel::Session;

// Functions in which a task sleeps for a lock. The first that fits counts.
struct Sleeper {
  std::string_view prefix;
  LockType type;
};
constexpr std::array kSleepers = {
    Sleeper{"__mutex_lock", LockType::mutex},    Sleeper{"mutex_lock", LockType::mutex},
    Sleeper{"__ww_mutex_lock", LockType::mutex}, Sleeper{"ww_mutex_lock", LockType::mutex},
    Sleeper{"rwsem_down_", LockType::rwsem},     Sleeper{"__down_read", LockType::rwsem},
    Sleeper{"__down_write", LockType::rwsem},    Sleeper{"down_read", LockType::rwsem},
    Sleeper{"down_write", LockType::rwsem},      Sleeper{"__down", LockType::semaphore},
    Sleeper{"down", LockType::semaphore}};

std::optional<LockType> type_by_frames(const Session& session, const Trace& trace) {
  constexpr size_t kInnermost = 10;
  for (size_t i = 0; i < trace.frames.size() && i < kInnermost; ++i) {
    const auto near = session.nearest_symbol(trace.frames[i].lookup_address());
    if (!near) continue;
    for (const Sleeper& one : kSleepers)
      if (near->symbol.name.starts_with(one.prefix)) return one.type;
  }
  return std::nullopt;
}

// Looks on a task's stack for its entry in a lock's list of waiters.
class StackSearch {
 public:
  StackSearch(const Session& session, TaskStacks& stacks, const Value& task, LockType type)
      : session_(session),
        stacks_(stacks),
        task_(*task.address()),
        sp_(stacks.lowest_of(task)),
        saved_(stacks.of_switched_out(task).registers),
        stack_(stacks.stacks().of_task(task)),
        lock_(kernel::type_by_word(session, form_of(type).struct_name)),
        waiter_(kernel::type_by_word(session, form_of(type).waiter)),
        link_(kernel::member_offset(waiter_, "list")),
        task_member_(kernel::member_offset(waiter_, "task")) {}

  std::optional<VirtAddr> run() {
    if (!stack_.contains(sp_) || session_.word_size() != kWord) return std::nullopt;
    std::vector<std::byte> bytes(stack_.end - sp_);
    session_.read(sp_, bytes, nullptr);
    for (uint64_t at = 0; at + kWord <= bytes.size(); at += kWord)
      words_.push_back(load<uint64_t>(&bytes[at], session_.byte_order()));
    for (size_t i = 0; i + (task_member_ / kWord) < words_.size(); ++i) {
      if (words_[i + task_member_ / kWord] != task_.value) continue;
      if (const auto lock = lock_of(sp_ + i * kWord)) return lock;
    }
    return std::nullopt;
  }

 private:
  static constexpr uint64_t kWord = 8;

  uint64_t word_at(VirtAddr address) const { return session_.read_number(address, kWord, nullptr); }

  // Whether the node's struct waiter is on the stack of the task that it names.
  bool is_waiter(VirtAddr node) const try {
    const VirtAddr task{word_at(node - link_ + task_member_)};
    if (task == task_) return stack_.contains(node);
    const Value object = session_.object(kernel::type_by_word(session_, "task_struct"), task);
    return stacks_.stacks().of_task(object).contains(node);
  } catch (const Error&) {
    return false;
  }

  // The lock in whose list a candidate is. A list's one node that is no waiter is the lock's own.
  std::optional<VirtAddr> lock_of(VirtAddr waiter) const try {
    const VirtAddr own = waiter + link_;
    const VirtAddr next{word_at(own)};
    if (!session_.may_be_pointer(next.value) || word_at(next + kWord) != own.value) return std::nullopt;
    std::vector<VirtAddr> ring = {own};
    std::vector<VirtAddr> others;
    const std::string torn = kernel::walk_list(session_, own, [&](VirtAddr node) {
      (is_waiter(node) ? ring : others).push_back(node);
      return ring.size() < kMostWaiters && others.size() < 2;
    });
    if (!torn.empty()) return std::nullopt;
    if (lock_.find_member("first_waiter")) return others.empty() ? lock_by_words(ring) : std::nullopt;
    if (others.size() != 1) return std::nullopt;
    return others.front() - kernel::member_offset(lock_, "wait_list");
  } catch (const Error&) {
    return std::nullopt;
  }

  // Where the lock is no node of the ring: something on the stack leads to it.
  std::optional<VirtAddr> lock_by_words(const std::vector<VirtAddr>& ring) const {
    const uint64_t offset = kernel::member_offset(lock_, "first_waiter");
    std::vector<uint64_t> words = words_;
    // Registers that no function on the stack needed are where the task was switched out.
    for (size_t i = 0; i < saved_.values.size(); ++i)
      if (saved_.has(i)) words.push_back(saved_.values.at(i));
    for (const uint64_t word : words) {
      // The waiter's own links lead to it, too.
      if (!session_.may_be_pointer(word) || word % kWord != 0 || stack_.contains(VirtAddr{word})) continue;
      try {
        const VirtAddr first{word_at(VirtAddr{word} + offset)};
        if (std::find(ring.begin(), ring.end(), first + link_) != ring.end()) return VirtAddr{word};
      } catch (const Error&) {
        continue;  // not a pointer
      }
    }
    return std::nullopt;
  }

  const Session& session_;
  TaskStacks& stacks_;
  VirtAddr task_, sp_;
  arch::Registers saved_;
  Stack stack_;
  type::Type lock_, waiter_;
  uint64_t link_, task_member_;
  std::vector<uint64_t> words_;
};

// What task_struct says by itself.
std::optional<BlockedOn> by_task(const Session& session, const Value& task) {
  if (task.has("blocked_on")) {  // of every kernel since 6.17, before with CONFIG_DEBUG_MUTEXES another type
    const Value lock = task["blocked_on"];
    if (session.may_be_pointer(lock.number()) && lock.number() != ~uint64_t{0} &&
        lock.type().resolved().target().resolved().find_member("owner"))
      return BlockedOn{LockType::mutex, lock.target(), Known::by_task};
  }
  if (task.has("pi_blocked_on") && task["pi_blocked_on"]) {
    const VirtAddr lock = task["pi_blocked_on"]["lock"].target();
    if (lock.value != 0) return BlockedOn{LockType::rt_mutex, lock, Known::by_task};
  }
  if (task.has("blocker") && task["blocker"]) {  // include/linux/hung_task.h, since 6.16
    constexpr std::array kTypes = {LockType::mutex, LockType::semaphore, LockType::rwsem, LockType::rwsem};
    constexpr uint64_t kTypeBits = 3;
    const uint64_t word = task["blocker"].number();
    return BlockedOn{kTypes.at(word & kTypeBits), VirtAddr{word & ~kTypeBits}, Known::by_task};
  }
  return std::nullopt;
}

bool is_running(const TaskStacks& stacks, VirtAddr task) {
  const auto& running = stacks.running().by_cpu;
  return std::any_of(running.begin(), running.end(), [&](const auto& one) { return one.second == task; });
}

}  // namespace

std::optional<BlockedOn> blocked_on(const Session& session, TaskStacks& stacks, const Value& task,
                                    std::string& fault) {
  try {
    if (auto found = by_task(session, task)) return found;
    if (is_running(stacks, *task.address())) return std::nullopt;
    const Trace trace = stacks.read(task).trace;
    const auto type = type_by_frames(session, trace);
    if (!type) {
      if (trace.end == End::damaged) fault = trace.fault;
      return std::nullopt;
    }
    const auto lock = StackSearch(session, stacks, task, *type).run();
    return lock ? std::optional(BlockedOn{*type, *lock, Known::by_stack}) : std::nullopt;
  } catch (const Error& error) {
    fault = error.what();
    return std::nullopt;
  }
}

}  // namespace kvista::unwind
