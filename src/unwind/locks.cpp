#include "unwind/locks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/endian.h"
#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "unwind/task_stacks.h"

namespace kvista::unwind {
namespace {

using kernel::Session;
using kernel::TaskReader;

constexpr size_t kMostLocks = 64;
constexpr size_t kMostWaiters = 100'000;

// How a lock keeps its waiters: their struct, with their task, in a list from the lock on.
struct Form {
  LockType type;
  const char* name;
  const char* struct_name;
  const char* waiter;
};
constexpr std::array kForms = {Form{LockType::mutex, "mutex", "mutex", "mutex_waiter"},
                               Form{LockType::rwsem, "rwsem", "rw_semaphore", "rwsem_waiter"},
                               Form{LockType::rt_mutex, "rt_mutex", "rt_mutex", "rt_mutex_waiter"},
                               Form{LockType::semaphore, "semaphore", "semaphore", "semaphore_waiter"}};

const Form& form_of(LockType type) {
  return kForms.at(static_cast<size_t>(type));
}

bool is_compound(const Value& value) {
  return value.type().resolved().is_compound();
}

// An integer, or an atomic_t and the like, which is a struct with it.
uint64_t number_in(const Value& value) {
  return is_compound(value) ? value["counter"].number() : value.number();
}

class LockReader {
 public:
  LockReader(const Session& session, const TaskReader& reader, Lock& lock)
      : session_(session), reader_(reader), lock_(lock) {}

  void run() {
    const Value object =
        session_.object(kernel::type_by_word(session_, form_of(lock_.type).struct_name), lock_.address);
    switch (lock_.type) {
      case LockType::mutex:
        return object.has("rtmutex") ? read_rt(object["rtmutex"]) : read_mutex(object);
      case LockType::rwsem:
        return object.has("rwbase") ? read_rt_rwsem(object["rwbase"]) : read_rwsem(object);
      case LockType::rt_mutex:
        return read_rt(object.has("rtmutex") ? object["rtmutex"] : object);
      case LockType::semaphore:
        return read_semaphore(object);
    }
  }

 private:
  kernel::Task task_at(VirtAddr address) const {
    return reader_.read_identity(session_.object(kernel::type_by_word(session_, "task_struct"), address));
  }
  void set_owner(uint64_t word, uint64_t flags) {
    if ((word & ~flags) != 0) lock_.owner = task_at(VirtAddr{word & ~flags});
  }

  // The lowest bits of a pointer to a task are the lock's: 9d659ae14b54 (4.10).
  void read_mutex(const Value& object) {
    constexpr uint64_t kFlags = 7;
    const uint64_t owner = number_in(object["owner"]);
    set_owner(owner, kFlags);
    lock_.state = (owner & ~kFlags) != 0 ? "locked" : "unlocked";
    read_waiters(object);
  }

  // kernel/locking/rwsem.c since 64489e78004c (5.3): a bit for a writer, readers are counted from bit 8 on.
  void read_rwsem(const Value& object) {
    constexpr uint64_t kFlags = 7;
    constexpr uint64_t kReaderOwned = 1;
    constexpr uint64_t kWriterLocked = 1;
    constexpr int kReaders = 8;
    const int64_t count = static_cast<int64_t>(number_in(object["count"]));
    const uint64_t owner = number_in(object["owner"]);
    const int64_t readers = count >> kReaders;
    if ((static_cast<uint64_t>(count) & kWriterLocked) != 0) {
      lock_.state = "locked by a writer";
      set_owner(owner, kFlags);
    } else if (readers > 0) {
      lock_.state = fmt::format("locked by {} reader{}", readers, readers == 1 ? "" : "s");
      lock_.owner_is_hint = true;
      if ((owner & kReaderOwned) != 0) set_owner(owner, kFlags);
    } else {
      lock_.state = "unlocked";
    }
    read_waiters(object);
  }

  void read_semaphore(const Value& object) {
    const uint64_t left = object["count"].number();
    lock_.state = left == 0 ? "locked" : fmt::format("unlocked, for {} more", left);
    if (object.has("last_holder")) {  // CONFIG_DETECT_HUNG_TASK_BLOCKER, since 6.16
      set_owner(object["last_holder"].number(), 0);
      lock_.owner_is_hint = true;
    }
    read_waiters(object);
  }

  // Of PREEMPT_RT: struct rwbase_rt. Readers are counted from a large negative number on.
  void read_rt_rwsem(const Value& base) {
    const auto readers = static_cast<int32_t>(number_in(base["readers"]));
    read_rt(base["rtmutex"]);
    if (lock_.state == "unlocked" && readers < 0 && readers != INT32_MIN)
      lock_.state = fmt::format("locked by {} reader(s)", static_cast<int64_t>(readers) - INT32_MIN);
    else if (readers > 0)
      lock_.state = "locked by a writer";
  }

  // Who waits for a struct rt_mutex is in a tree by priority. The owner's lowest bit says that there are
  // such.
  void read_rt(const Value& base) {
    const uint64_t owner = base["owner"].number();
    set_owner(owner, 1);
    lock_.state = (owner & ~uint64_t{1}) != 0 ? "locked" : "unlocked";
    const type::Type type = kernel::type_by_word(session_, "rt_mutex_waiter");
    const uint64_t offset = kernel::member_offset(type, rt_link(type));
    const Value root = base["waiters"];
    const Value top = root.has("rb_root") ? root["rb_root"]["rb_node"] : root["rb_node"];
    add_fault(kernel::walk_tree(session_, top.target(), [&](VirtAddr node) {
      return add_waiter(session_.object(type, node - offset));
    }));
  }
  // The link's names: until 6.3, and since f7853c34241c (6.4).
  static const char* rt_link(const type::Type& type) {
    if (type.find_member("tree_entry")) return "tree_entry";
    const auto tree = type.find_member("tree");
    return tree && tree->type.resolved().find_member("entry") ? "tree.entry" : "tree";
  }

  // A list from the lock on; since 7.1 the lock leads to the first of a ring of waiters.
  void read_waiters(const Value& object) {
    const type::Type type = kernel::type_by_word(session_, form_of(lock_.type).waiter);
    const uint64_t offset = kernel::member_offset(type, "list");
    VirtAddr head;
    if (object.has("first_waiter")) {
      const VirtAddr first = object["first_waiter"].target();
      if (first.value == 0) return;
      head = first + offset;
      add_waiter(session_.object(type, first));
    } else {
      head = *object["wait_list"].address();
    }
    add_fault(kernel::walk_list(
        session_, head, [&](VirtAddr node) { return add_waiter(session_.object(type, node - offset)); }));
  }

  bool add_waiter(const Value& waiter) try {
    LockWaiter one{task_at(waiter["task"].target())};
    if (lock_.type == LockType::rwsem && waiter.has("type")) {
      const auto read = session_.types().enumerator("RWSEM_WAITING_FOR_READ");
      one.wants = waiter["type"].number() == static_cast<uint64_t>(read.value_or(1)) ? "read" : "write";
    }
    lock_.waiters.push_back(std::move(one));
    return lock_.waiters.size() < kMostWaiters;
  } catch (const Error& error) {
    add_fault(error.what());
    return true;
  }
  void add_fault(const std::string& why) {
    if (!why.empty()) lock_.faults.push_back("its waiters: " + why);
  }

  const Session& session_;
  const TaskReader& reader_;
  Lock& lock_;
};

// --- what a task waits for ---

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

const char* name_of(LockType type) {
  return form_of(type).name;
}

std::optional<LockType> lock_type(std::string_view name) {
  for (const Form& form : kForms)
    if (name == form.name || name == form.struct_name) return form.type;
  return name == "rt_mutex_base" ? std::optional(LockType::rt_mutex) : std::nullopt;
}

Lock read_lock(const Session& session, const TaskReader& reader, LockType type, VirtAddr address) {
  Lock lock;
  lock.type = type;
  lock.address = address;
  try {
    LockReader(session, reader, lock).run();
  } catch (const Error& error) {
    lock.faults.emplace_back(error.what());
  }
  return lock;
}

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
