// Locks: who waits, who owns, and chains of them, with damage.
#include "unwind/locks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/walk_memory.h"
#include "unwind/task_stacks.h"

namespace kvista::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using unwind::Lock;
using unwind::LockType;

class Locks : public WalkMemory {
 protected:
  static const TypeBook& types() { return kernel_types(); }
  static uint64_t offset(const char* type, const char* member) { return types().offset(type, member); }

  // A task that has ended, so that it needs no stack.
  uint64_t make_task(uint64_t pid) {
    constexpr uint64_t kExitDead = 16;
    const uint64_t task = make(types().size("struct task_struct"), kPage);
    put(task + offset("struct task_struct", "pid"), pid, 4);
    put(task + offset("struct task_struct", "exit_state"), kExitDead, 4);
    return task;
  }
  // An rwsem with so many readers that wait. Returns them too, each in a page of its own.
  uint64_t make_rwsem(size_t count) {
    const uint64_t lock = make_page();
    tasks_.clear();
    waiters_.clear();
    uint64_t last = lock + offset("struct rw_semaphore", "wait_list");
    const uint64_t head = last;
    for (size_t i = 0; i < count; ++i) {
      waiters_.push_back(make_page());
      tasks_.push_back(make_task(100 + i));
      put(waiters_[i] + offset("struct rwsem_waiter", "task"), tasks_[i]);
      put(waiters_[i] + offset("struct rwsem_waiter", "type"), i % 2, 4);
      join(last, waiters_[i]);
      last = waiters_[i];
    }
    join(last, head);
    return lock;
  }
  void join(uint64_t one, uint64_t next) {
    put(one, next);
    put(next + 8, one);
  }
  Lock read(LockType type, uint64_t lock) {
    const kernel::Session& session = look();
    return read_lock(session, kernel::TaskReader(session), type, VirtAddr{lock});
  }
  unwind::LockChain follow(LockType type, uint64_t lock) {
    const kernel::Session& session = look();
    unwind::TaskStacks stacks(session);
    return follow_lock(session, kernel::TaskReader(session), stacks, type, VirtAddr{lock});
  }
  // Mutexes whose owners wait for the next, as task_struct.blocker says.
  std::vector<uint64_t> make_mutexes(size_t count) {
    std::vector<uint64_t> locks;
    for (size_t i = 0; i < count; ++i) locks.push_back(make(64));
    for (size_t i = 0; i < count; ++i) {
      const uint64_t task = make_task(i + 1);
      put(locks[i], task);
      if (i + 1 < count) put(task + offset("struct task_struct", "blocker"), locks[i + 1]);
      tasks_.push_back(task);
    }
    return locks;
  }

  std::vector<uint64_t> tasks_;
  std::vector<uint64_t> waiters_;
};

TEST_F(Locks, WaitersInTheirOrder) {
  with_seeds(8, [&] {
    const size_t count = below(30);
    const Lock lock = read(LockType::rwsem, make_rwsem(count));
    EXPECT_THAT(lock.faults, IsEmpty());
    EXPECT_EQ(lock.state, "unlocked");
    ASSERT_EQ(lock.waiters.size(), count);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(lock.waiters[i].task.address.value, tasks_[i]);
      EXPECT_STREQ(lock.waiters[i].wants, i % 2 == 1 ? "read" : "write");
    }
  });
}

TEST_F(Locks, ATornListGivesTheOthers) {
  with_seeds(8, [&] {
    const uint64_t address = make_rwsem(10);
    const size_t missing = below(10);
    leave_out(waiters_[missing]);
    const Lock lock = read(LockType::rwsem, address);
    EXPECT_FALSE(lock.faults.empty());
    EXPECT_EQ(lock.waiters.size(), 9U);
  });
}

TEST_F(Locks, WhoHoldsAnRwsem) {
  const uint64_t lock = make_rwsem(0);
  const uint64_t task = make_task(7);
  put(lock, 1);
  put(lock + 8, task);
  EXPECT_EQ(read(LockType::rwsem, lock).state, "locked by a writer");
  EXPECT_EQ(read(LockType::rwsem, lock).owner->pid, 7U);
  put(lock, 0x300);
  put(lock + 8, task | 1);
  EXPECT_EQ(read(LockType::rwsem, lock).state, "locked by 3 readers");
  EXPECT_TRUE(read(LockType::rwsem, lock).owner_is_hint);
  put(lock, 0);
  EXPECT_EQ(read(LockType::rwsem, lock).owner, std::nullopt);
}

// Since 7.1 a lock leads to the first of its waiters, which are a ring without it.
TEST_F(Locks, ARingOfWaiters) {
  with_seeds(8, [&] {
    const size_t count = 1 + below(10);
    const uint64_t lock = make_page();
    std::vector<uint64_t> waiters;
    tasks_.clear();
    for (size_t i = 0; i < count; ++i) {
      waiters.push_back(make_page());
      tasks_.push_back(make_task(100 + i));
      put(waiters[i] + offset("struct semaphore_waiter", "task"), tasks_[i]);
    }
    for (size_t i = 0; i < count; ++i) join(waiters[i], waiters[(i + 1) % count]);
    put(lock + offset("struct semaphore", "first_waiter"), waiters[0]);
    const Lock found = read(LockType::semaphore, lock);
    EXPECT_THAT(found.faults, IsEmpty());
    EXPECT_EQ(found.state, "locked");
    ASSERT_EQ(found.waiters.size(), count);
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(found.waiters[i].task.address.value, tasks_[i]);
  });
}

TEST_F(Locks, ALockThatIsNotThere) {
  const uint64_t lock = make_page();
  leave_out(lock);
  for (const LockType type : {LockType::mutex, LockType::rwsem, LockType::rt_mutex, LockType::semaphore}) {
    const Lock found = read(type, lock);
    EXPECT_THAT(found.faults, SizeIs(1)) << name_of(type);
    EXPECT_EQ(found.state, "");
  }
  EXPECT_THAT(follow(LockType::mutex, lock).links, SizeIs(1));
}

TEST_F(Locks, ChainsAreFollowed) {
  const auto locks = make_mutexes(5);
  const auto chain = follow(LockType::mutex, locks[0]);
  ASSERT_THAT(chain.links, SizeIs(5));
  EXPECT_FALSE(chain.is_deadlock);
  EXPECT_THAT(chain.end, HasSubstr("waits for no lock"));
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(chain.links[i].lock.address.value, locks[i]);
}

TEST_F(Locks, ChainsThatComeBackAreDeadlocks) {
  with_seeds(4, [&] {
    tasks_.clear();
    const auto locks = make_mutexes(6);
    put(tasks_.back() + offset("struct task_struct", "blocker"), locks[below(6)]);
    const auto chain = follow(LockType::mutex, locks[0]);
    EXPECT_THAT(chain.links, SizeIs(6));
    EXPECT_TRUE(chain.is_deadlock);
  });
}

TEST_F(Locks, ChainsHaveABound) {
  const auto chain = follow(LockType::mutex, make_mutexes(100)[0]);
  EXPECT_THAT(chain.links, SizeIs(64));
  EXPECT_THAT(chain.end, HasSubstr("not followed further"));
}

TEST_F(Locks, NamesOfTypes) {
  EXPECT_EQ(unwind::lock_type("mutex"), LockType::mutex);
  EXPECT_EQ(unwind::lock_type("rw_semaphore"), LockType::rwsem);
  EXPECT_EQ(unwind::lock_type("rwsem"), LockType::rwsem);
  EXPECT_EQ(unwind::lock_type("rt_mutex_base"), LockType::rt_mutex);
  EXPECT_EQ(unwind::lock_type("task_struct"), std::nullopt);
}

}  // namespace
}  // namespace kvista::test
