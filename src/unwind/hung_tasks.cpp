#include "unwind/hung_tasks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "kernel/run_queues.h"
#include "kernel/session.h"
#include "unwind/kernel_memory.h"
#include "unwind/task_stacks.h"

namespace kvista::unwind {
namespace {

using kernel::Session;

// What in_sched_functions() of kernel/sched/core.c takes for waiting itself. mutex_lock() and the like are
// there.
std::vector<VirtRange> scheduler_text(const Session& session) {
  constexpr std::array kLabels = {Labels{"__sched_text_start", "__sched_text_end"},
                                  Labels{"__lock_text_start", "__lock_text_end"},
                                  Labels{"__spinlock_text_start", "__spinlock_text_end"}};
  return between_labels(session, kLabels);
}

std::optional<size_t> first_outside(const Trace& trace, const std::vector<VirtRange>& ranges) {
  for (size_t i = 0; i < trace.frames.size(); ++i) {
    const VirtAddr address = trace.frames[i].lookup_address();
    if (std::none_of(ranges.begin(), ranges.end(),
                     [&](const VirtRange& range) { return range.contains(address); }))
      return i;
  }
  return std::nullopt;
}

}  // namespace

std::vector<HungTask> hung_tasks(const Session& session, TaskStacks& stacks,
                                 std::vector<std::string>& faults) {
  const std::vector<VirtRange> scheduler = scheduler_text(session);
  const kernel::TaskReader reader(session);
  kernel::TaskList list = kernel::all_tasks(session);
  faults = std::move(list.faults);
  std::vector<HungTask> found;
  for (const Value& object : list.tasks) {
    HungTask one{reader.read_identity(object), {}, {}, {}};
    if (one.task.state != "UN") continue;
    one.waited = kernel::since_last_run(session, one.task);
    one.trace = stacks.read(object).trace;
    one.waits_in = first_outside(one.trace, scheduler);
    found.push_back(std::move(one));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const HungTask& a, const HungTask& b) { return a.waited > b.waited; });
  return found;
}

}  // namespace kvista::unwind
