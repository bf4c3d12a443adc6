#include "cli/last_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cli/duration.h"
#include "kernel/run_queues.h"

namespace kvista::cli {
namespace {

using kernel::Task;

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}
// Its text, or "-".
template <typename T>
std::string text(const std::optional<T>& value) {
  return to_text(cell(value));
}

}  // namespace

TableSpec last_run_spec() {
  return {"last_run",
          "with -m: for how long each task has not run, or has run where it does, the shortest first",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "as crash writes it", Show::only_text},
           {"pid", "PID", Type::integer, "", "of the task", Show::only_json},
           {"task", "TASK", Type::hex, "", "where its struct task_struct is", Show::only_json},
           {"cpu", "CPU", Type::integer, "", "that it ran on last", Show::only_json},
           {"state", "ST", Type::text, "", "as in the table of tasks", Show::only_json},
           {"comm", "COMM", Type::text, "", "the name", Show::only_json},
           {"since_ns", "SINCE", Type::integer, "ns",
            "since it came to run last; null where it never did, or the kernel does not keep it",
            Show::only_json}}};
}

void add_last_runs(const kernel::Session& session, const std::vector<const Task*>& tasks, Table& table) {
  struct LastRun {
    const Task* task;
    std::optional<uint64_t> since;
  };
  std::vector<LastRun> all;
  all.reserve(tasks.size());
  for (const Task* task : tasks) all.push_back({task, kernel::since_last_run(session, *task)});
  std::stable_sort(all.begin(), all.end(), [](const LastRun& a, const LastRun& b) {
    return a.since.value_or(UINT64_MAX) < b.since.value_or(UINT64_MAX);
  });
  for (const auto& [task, since] : all)
    table.rows.push_back({fmt::format("[{:>16}] [{}]  PID: {:<6}  TASK: {:x}  CPU: {:<2}  COMMAND: {}",
                                      since ? exact_duration_text(*since) : "-", text(task->state),
                                      text(task->pid), task->address.value, text(task->cpu),
                                      task->comm ? fmt::format("\"{}\"", *task->comm) : text(task->comm)),
                          cell(task->pid), Hex{task->address.value}, cell(task->cpu), cell(task->state),
                          cell(task->comm), cell(since)});
}

}  // namespace kvista::cli
