// Tasks that wait and cannot be interrupted.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernel/tasks.h"
#include "unwind/trace.h"

namespace kvista::unwind {

class TaskStacks;

struct HungTask {
  kernel::Task task;
  /// For how long it has been off its CPU, in nanoseconds: by sched_info.last_arrival and its run queue's
  /// clock, so that what it ran before it was switched out is counted, too. Nothing where the kernel does not
  /// keep that.
  std::optional<uint64_t> waited;
  Trace trace;
  /// Which frame is the first that is not the scheduler's or a lock's: what it waits in.
  std::optional<size_t> waits_in;
};

/// Those in state UN (TASK_UNINTERRUPTIBLE, and not idle), the longest wait first. `faults` says what is
/// missing.
std::vector<HungTask> hung_tasks(const kernel::Session& session, TaskStacks& stacks,
                                 std::vector<std::string>& faults);

}  // namespace kvista::unwind
