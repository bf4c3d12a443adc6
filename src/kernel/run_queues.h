// What each CPU runs, and what waits to run there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/tasks.h"

namespace kvista::kernel {

class Session;

/// The scheduler's classes that queue tasks.
enum class SchedClass : uint8_t { deadline, realtime, fair, extensible };
/// "DL", "RT", "CFS", "EXT".
const char* name_of(SchedClass one);

struct QueuedTask {
  SchedClass sched_class = SchedClass::fair;
  Task task;
  std::optional<uint64_t> priority;  ///< as the kernel has it: 0 to 99 real time, 100 to 139 others
  unsigned depth = 0;                ///< in how many groups it is
  /// Of a fair task its virtual run time, of a deadline task its deadline, in nanoseconds.
  std::optional<uint64_t> key;
  bool is_delayed = false;  ///< it sleeps already, and is dequeued later (since 6.12)
  std::string fault = {};   ///< why something of it has no value
};

/// What cannot be read is left out, and `faults` says why.
struct RunQueue {
  unsigned cpu = 0;
  VirtAddr address;  ///< its struct rq
  std::optional<Task> current;
  std::optional<uint64_t> clock;    ///< nanoseconds
  std::optional<uint64_t> since;    ///< when the current task came to run, by that clock
  std::optional<uint64_t> running;  ///< how many tasks are runnable, as the queue itself counts
  struct Queue {
    std::optional<VirtAddr> address;  ///< nothing where the class has none
    bool is_whole = false;            ///< all of its tasks are known
  };
  std::array<Queue, 4> queues;    ///< by SchedClass
  std::vector<QueuedTask> tasks;  ///< by class, in the order in which they would run
  std::vector<std::string> faults;
};

/// The run queue of a CPU. Never throws: what is missing is said.
RunQueue read_run_queue(const Session& session, const TaskReader& reader, unsigned cpu);
/// For how many nanoseconds a task has not come to run, by the clock of its CPU's run queue; of one that
/// runs, for how long it does. Nothing where the kernel does not keep it, or the task never ran.
std::optional<uint64_t> since_last_run(const Session& session, const Task& task);

}  // namespace kvista::kernel
