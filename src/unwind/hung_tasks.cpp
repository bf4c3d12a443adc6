#include "unwind/hung_tasks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
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

// The run queue's clock and last_arrival are of one CPU, so that they can be compared.
std::optional<uint64_t> waited(const Session& session, const kernel::Task& task) {
  try {
    if (!task.cpu || !task.object.has("sched_info")) return std::nullopt;
    const uint64_t now =
        session.own_global("runqueues").per_cpu(static_cast<unsigned>(*task.cpu))["clock"].number();
    const uint64_t since = task.object["sched_info"]["last_arrival"].number();
    return since == 0 ? std::nullopt : std::optional(now > since ? now - since : 0);
  } catch (const Error&) {
    return std::nullopt;
  }
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
    one.waited = waited(session, one.task);
    one.trace = stacks.read(object).trace;
    one.waits_in = first_outside(one.trace, scheduler);
    found.push_back(std::move(one));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const HungTask& a, const HungTask& b) { return a.waited > b.waited; });
  return found;
}

}  // namespace kvista::unwind
