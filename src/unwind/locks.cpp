#include "unwind/locks.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "unwind/lock_forms.h"

namespace kvista::unwind {
namespace {

using kernel::Session;
using kernel::TaskReader;

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

}  // namespace

const char* name_of(LockType type) {
  return form_of(type).name;
}

std::optional<LockType> lock_type(std::string_view name) {
  for (const LockForm& form : kLockForms)
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

}  // namespace kvista::unwind
