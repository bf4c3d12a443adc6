// Workqueues: works and workers come out as they were put in, and damage costs what it hit.
#include "kernel/work_queues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/walk_memory.h"

namespace kvista::test {
namespace {

using kernel::WorkQueues;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint64_t kFunction = 0xffffffff81001000;

class WorkQueueWalk : public WalkMemory {
 protected:
  static uint64_t offset(const char* type, const char* member) { return kernel_types().offset(type, member); }

  WorkQueueWalk()
      : WalkMemory(
            "object variable worker_pool_idr struct idr\nobject variable workqueues struct list_head\n"),
        pool_(make_page()) {
    // One entry at index 0 needs no node.
    kernel_.put64(kernel_.symbol("worker_pool_idr") + offset("struct idr", "idr_rt.xa_head"), pool_);
    make_empty(pool_ + offset("struct worker_pool", "workers"));
    make_empty(pool_ + offset("struct worker_pool", "worklist"));
  }
  void make_empty(uint64_t head) { link(head, {}); }
  void link(uint64_t head, const std::vector<uint64_t>& entries) {
    uint64_t last = head;
    for (const uint64_t entry : entries) {
      join(last, entry);
      last = entry;
    }
    join(last, head);
  }
  void join(uint64_t one, uint64_t next) {
    put(one, next);
    put(next + 8, one);
  }
  std::vector<uint64_t> make_works(size_t count) {
    std::vector<uint64_t> works;
    for (size_t i = 0; i < count; ++i) {
      works.push_back(make_page());
      put(works.back() + offset("struct work_struct", "func"), kFunction + i);
    }
    return works;
  }
  static std::vector<uint64_t> entries_of(const std::vector<uint64_t>& works) {
    std::vector<uint64_t> entries;
    entries.reserve(works.size());
    for (const uint64_t work : works) entries.push_back(work + offset("struct work_struct", "entry"));
    return entries;
  }
  uint64_t worklist() const { return pool_ + offset("struct worker_pool", "worklist"); }
  WorkQueues read() { return kernel::read_work_queues(look()); }

  uint64_t pool_;
};

TEST_F(WorkQueueWalk, PendingWorksInTheirOrder) {
  with_seeds(8, [&] {
    const auto works = make_works(below(20));
    link(worklist(), entries_of(works));
    const WorkQueues found = read();
    EXPECT_THAT(found.faults, IsEmpty());
    ASSERT_THAT(found.pools, SizeIs(1));
    ASSERT_EQ(found.pools[0].pending.size(), works.size());
    for (size_t i = 0; i < works.size(); ++i) {
      EXPECT_EQ(found.pools[0].pending[i].address.value, works[i]);
      EXPECT_EQ(found.pools[0].pending[i].function.value, kFunction + i);
    }
  });
}

TEST_F(WorkQueueWalk, AWorkThatIsMissingCostsItAlone) {
  with_seeds(8, [&] {
    const auto works = make_works(10);
    link(worklist(), entries_of(works));
    leave_out(works[below(works.size())]);
    const WorkQueues found = read();
    EXPECT_FALSE(found.faults.empty());
    EXPECT_THAT(found.pools.at(0).pending, SizeIs(9));
  });
}

TEST_F(WorkQueueWalk, AWorkOfWhichAPartIsMissing) {
  const uint64_t work = make(kPage, kPage) + kPage - offset("struct work_struct", "func");
  const uint64_t next = make_page();
  link(worklist(), entries_of({work}));
  leave_out(next);
  const WorkQueues found = read();
  EXPECT_THAT(found.pools.at(0).pending, IsEmpty());
  ASSERT_THAT(found.faults, SizeIs(1));
  EXPECT_THAT(found.faults[0], HasSubstr("pool 0: its pending works"));
}

TEST_F(WorkQueueWalk, ALoopEnds) {
  with_seeds(8, [&] {
    const auto works = make_works(10);
    const auto entries = entries_of(works);
    link(worklist(), entries);
    put(entries[below(10)], entries[below(10)]);
    const WorkQueues found = read();
    EXPECT_LE(found.pools.at(0).pending.size(), 10U);
  });
}

TEST_F(WorkQueueWalk, AWorkerAndWhatItRuns) {
  const uint64_t worker = make_page();
  const uint64_t task = make(kernel_types().size("struct task_struct"), kPage);
  put(task + offset("struct task_struct", "pid"), 42, 4);
  put(worker + offset("struct worker", "task"), task);
  put(worker + offset("struct worker", "current_work"), make_works(1)[0]);
  put(worker + offset("struct worker", "current_func"), kFunction);
  make_empty(worker + offset("struct worker", "scheduled"));
  link(pool_ + offset("struct worker_pool", "workers"), {worker + offset("struct worker", "node")});
  const WorkQueues found = read();
  EXPECT_THAT(found.faults, IsEmpty());
  ASSERT_THAT(found.pools.at(0).workers, SizeIs(1));
  EXPECT_EQ(found.pools[0].workers[0].task->pid, 42U);
  EXPECT_EQ(found.pools[0].workers[0].current->function.value, kFunction);
}

TEST_F(WorkQueueWalk, APoolThatIsMissing) {
  leave_out(pool_);
  const WorkQueues found = read();
  EXPECT_THAT(found.pools, SizeIs(1));
  EXPECT_THAT(found.faults, SizeIs(1));
}

}  // namespace
}  // namespace kvista::test
