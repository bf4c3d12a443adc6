// Run queues: who waits, in which order, and what damage costs.
#include "kernel/run_queues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/walk_memory.h"

namespace kvista::test {
namespace {

using kernel::RunQueue;
using testing::HasSubstr;
using testing::IsEmpty;

class RunQueues : public WalkMemory {
 protected:
  uint64_t make_task(uint64_t pid, const char* comm = "task") {
    const uint64_t task = make(types().size("struct task_struct"), kPage);
    put(task + types().offset("struct task_struct", "pid"), pid, 4);
    for (size_t i = 0; comm[i] != 0; ++i)
      put(task + types().offset("struct task_struct", "comm") + i, static_cast<uint8_t>(comm[i]), 1);
    return task;
  }
  static const TypeBook& types() { return kernel_types(); }
  uint64_t queue(const char* member) const {
    return kernel_.object("rq:0").virt + types().offset("struct rq", member);
  }
  static uint64_t node_of(uint64_t task) {
    return task + types().offset("struct task_struct", "se.run_node");
  }
  // A balanced tree of what is sorted already. Returns its topmost node.
  uint64_t build(const std::vector<uint64_t>& nodes, size_t first, size_t end) {
    if (first >= end) return 0;
    const size_t middle = first + below(end - first);
    put(nodes[middle] + 8, build(nodes, middle + 1, end));
    put(nodes[middle] + 16, build(nodes, first, middle));
    return nodes[middle];
  }
  std::vector<uint64_t> fill(size_t count) {
    std::vector<uint64_t> tasks;
    std::vector<uint64_t> nodes;
    for (size_t i = 0; i < count; ++i) {
      tasks.push_back(make_task(100 + i));
      put(tasks.back() + types().offset("struct task_struct", "se.vruntime"), i * 10);
      nodes.push_back(node_of(tasks.back()));
    }
    put(queue("cfs.tasks_timeline"), build(nodes, 0, nodes.size()));
    return tasks;
  }
  RunQueue read() {
    const kernel::Session& session = look();
    return read_run_queue(session, kernel::TaskReader(session), 0);
  }
  static std::vector<uint64_t> tasks_of(const RunQueue& queue) {
    std::vector<uint64_t> tasks;
    for (const kernel::QueuedTask& one : queue.tasks) tasks.push_back(one.task.address.value);
    return tasks;
  }
};

TEST_F(RunQueues, FairTasksComeInTheirOrder) {
  with_seeds(8, [&] {
    const auto tasks = fill(1 + below(20));
    const RunQueue queue = read();
    EXPECT_THAT(queue.faults, IsEmpty());
    EXPECT_EQ(tasks_of(queue), tasks);
    for (size_t i = 0; i < queue.tasks.size(); ++i) EXPECT_EQ(queue.tasks[i].key, i * 10);
  });
}

TEST_F(RunQueues, TheRunningOnesGroupIsLookedAtToo) {
  const uint64_t group = make_page();
  const uint64_t entity = make_page();
  const uint64_t task = make_task(7);
  put(queue("cfs.curr"), entity);
  put(entity + types().offset("struct sched_entity", "my_q"), group);
  put(group + types().offset("struct cfs_rq", "tasks_timeline"), node_of(task));
  const RunQueue queue = read();
  ASSERT_EQ(tasks_of(queue), std::vector<uint64_t>{task});
  EXPECT_EQ(queue.tasks[0].depth, 1U);
}

TEST_F(RunQueues, APageThatIsMissingCostsWhatIsBelowItAlone) {
  with_seeds(8, [&] {
    const auto tasks = fill(20);
    leave_out(tasks[below(tasks.size())]);
    const RunQueue queue = read();
    EXPECT_FALSE(queue.faults.empty());
    EXPECT_LT(queue.tasks.size(), tasks.size());
    const auto found = tasks_of(queue);
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
  });
}

TEST_F(RunQueues, ALoopEnds) {
  with_seeds(8, [&] {
    const auto tasks = fill(20);
    put(node_of(tasks[below(20)]) + 8, node_of(tasks[below(20)]));
    EXPECT_LE(read().tasks.size(), tasks.size());
  });
}

TEST_F(RunQueues, GroupsWithinThemselvesEnd) {
  const uint64_t group = make_page();
  const uint64_t entity = make_page();
  put(queue("cfs.tasks_timeline"), entity + types().offset("struct sched_entity", "run_node"));
  put(entity + types().offset("struct sched_entity", "my_q"), group);
  put(group + types().offset("struct cfs_rq", "curr"), entity);
  EXPECT_THAT(read().tasks, IsEmpty());
}

TEST_F(RunQueues, ACpuThatThereIsNot) {
  const kernel::Session& session = look();
  const RunQueue queue = read_run_queue(session, kernel::TaskReader(session), 99);
  ASSERT_EQ(queue.faults.size(), 1U);
  EXPECT_THAT(queue.faults[0], HasSubstr("there is no CPU 99"));
}

}  // namespace
}  // namespace kvista::test
