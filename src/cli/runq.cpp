// kvista runq: what each CPU runs, and what waits to run there.
#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/duration.h"
#include "cli/task_operand.h"
#include "kernel/run_queues.h"

namespace kvista::cli {
namespace {

using kernel::QueuedTask;
using kernel::RunQueue;
using kernel::SchedClass;
using kernel::Session;
using kernel::Task;

constexpr size_t kQueues = 0;
constexpr size_t kTasks = 1;

TableSpec queues_spec() {
  return {"queues",
          "a row for each CPU",
          Layout::lines,
          {{"cpu", "CPU", Type::integer, "", "its number", Show::only_json},
           {"runqueue", "RUNQUEUE", Type::hex, "", "where its struct rq is", Show::only_json},
           {"nr_running", "RUNNING", Type::integer, "",
            "how many tasks are runnable, with the current one, as the kernel counts", Show::only_json},
           {"clock_ns", "CLOCK", Type::integer, "ns", "the run queue's clock", Show::only_json},
           {"current", "CURRENT", Type::hex, "", "the struct task_struct of what it runs", Show::only_json},
           {"pid", "PID", Type::integer, "", "of what it runs", Show::only_json},
           {"comm", "COMMAND", Type::text, "", "of what it runs", Show::only_json},
           {"since_ns", "SINCE", Type::integer, "ns",
            "when that came to run, by the clock; null where the kernel does not keep it", Show::only_json}}};
}

TableSpec tasks_spec() {
  return {"tasks",
          "what waits to run, by CPU and class, in the order in which it would",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "as crash writes it", Show::only_text},
           {"cpu", "CPU", Type::integer, "", "on which it waits", Show::only_json},
           {"class", "CLASS", Type::text, "", "DL (deadline), RT (real time), CFS (fair), EXT (sched_ext)",
            Show::only_json},
           {"priority", "PRIO", Type::integer, "", "0 to 99 real time, 100 to 139 others", Show::only_json},
           {"task", "TASK", Type::hex, "", "where its struct task_struct is", Show::only_json},
           {"pid", "PID", Type::integer, "", "of the task", Show::only_json},
           {"comm", "COMMAND", Type::text, "", "its name", Show::only_json},
           {"groups", "GROUPS", Type::integer, "", "in how many groups of tasks it is", Show::only_json},
           {"key_ns", "KEY", Type::integer, "ns", "virtual run time of CFS, deadline of DL", Show::only_json},
           {"delayed", "DELAYED", Type::boolean, "", "it sleeps already, and is taken off later",
            Show::only_json},
           {"fault", "FAULT", Type::text, "", "why something is not known", Show::only_json}}};
}

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}

std::string task_text(const Task& task) {
  return fmt::format("PID: {:<6}  TASK: {:x}  COMMAND: {}", to_text(cell(task.pid)), task.address.value,
                     task.comm ? fmt::format("\"{}\"", *task.comm) : "-");
}

std::string current_text(const RunQueue& queue) {
  return queue.current ? task_text(*queue.current) : "-";
}

struct ClassTitle {
  const char* title;
  SchedClass sched_class;
  bool is_always_shown;
};
constexpr ClassTitle kTitles[] = {{"DL RB_ROOT", SchedClass::deadline, false},
                                  {"RT PRIO_ARRAY", SchedClass::realtime, true},
                                  {"CFS RB_ROOT", SchedClass::fair, true},
                                  {"EXT RUNNABLE_LIST", SchedClass::extensible, false}};

class RunQueues {
 public:
  explicit RunQueues(const Session& session) {
    report_ = {"runq", {{queues_spec(), {}}, {tasks_spec(), {}}}, {}, ExitStatus::complete};
    static_cast<void>(session.own_global("runqueues"));  // without it there is nothing to say
    const kernel::TaskReader reader(session);
    for (const unsigned cpu : session.present_cpus()) all_.push_back(read_run_queue(session, reader, cpu));
  }

  Report finish(const Invocation& invocation) {
    for (const RunQueue& queue : all_) {
      add_queue_row(queue);
      if (invocation.flag("-t"))
        add_times(queue);
      else if (invocation.flag("-m"))
        add_duration(queue);
      else
        add_tasks(queue);
      for (const std::string& fault : queue.faults)
        add_missing(report_, fmt::format("CPU {}: {}", queue.cpu, fault));
    }
    return std::move(report_);
  }

 private:
  Table& table(size_t index) { return report_.tables.at(index); }
  void add_line(const std::string& text) { table(kTasks).rows.push_back({text}); }

  void add_queue_row(const RunQueue& queue) {
    const auto& current = queue.current;
    table(kQueues).rows.push_back({uint64_t{queue.cpu}, Hex{queue.address.value}, cell(queue.running),
                                   cell(queue.clock), current ? Cell(Hex{current->address.value}) : Cell{},
                                   current ? cell(current->pid) : Cell{},
                                   current ? cell(current->comm) : Cell{}, cell(queue.since)});
  }

  void add_times(const RunQueue& queue) {
    if (!table(kTasks).rows.empty()) add_line("");
    add_line(fmt::format(" CPU {}: {:015}", queue.cpu, queue.clock.value_or(0)));
    const std::string since = queue.since ? fmt::format("{:015}", *queue.since) : "-";
    add_line(fmt::format("        {:<15}  {}", since, current_text(queue)));
  }

  void add_duration(const RunQueue& queue) {
    std::string text = "-";
    if (queue.clock && queue.since)
      text = exact_duration_text(*queue.clock > *queue.since ? *queue.clock - *queue.since : 0);
    add_line(fmt::format(" CPU {}: [{}]  {}", queue.cpu, text, current_text(queue)));
  }

  void add_tasks(const RunQueue& queue) {
    if (!table(kTasks).rows.empty()) add_line("");
    add_line(fmt::format("CPU {} RUNQUEUE: {:x}", queue.cpu, queue.address.value));
    add_line(fmt::format("  CURRENT: {}", current_text(queue)));
    for (const ClassTitle& title : kTitles) add_class(queue, title);
  }

  void add_class(const RunQueue& queue, const ClassTitle& title) {
    const auto is_of_class = [&](const QueuedTask& one) { return one.sched_class == title.sched_class; };
    const bool has_any = std::any_of(queue.tasks.begin(), queue.tasks.end(), is_of_class);
    if (!has_any && !title.is_always_shown) return;
    const auto& [place, is_whole] = queue.queues.at(static_cast<size_t>(title.sched_class));
    add_line(fmt::format("  {}: {}", title.title, place ? fmt::format("{:x}", place->value) : "-"));
    if (!has_any) add_line(is_whole ? "     [no tasks queued]" : "     [not known]");
    for (const QueuedTask& one : queue.tasks)
      if (is_of_class(one)) add_task(queue.cpu, one);
  }

  void add_task(unsigned cpu, const QueuedTask& one) {
    const std::string marks = fmt::format("{}{}", one.is_delayed ? "  (delayed: it sleeps already)" : "",
                                          one.fault.empty() ? "" : fmt::format("  ({})", one.fault));
    table(kTasks).rows.push_back({fmt::format("     {:>{}}[{:>3}] {}{}", "", 3 * one.depth,
                                              to_text(cell(one.priority)), task_text(one.task), marks),
                                  uint64_t{cpu}, std::string(kernel::name_of(one.sched_class)),
                                  cell(one.priority), Hex{one.task.address.value}, cell(one.task.pid),
                                  cell(one.task.comm), uint64_t{one.depth}, cell(one.key), one.is_delayed,
                                  one.fault.empty() ? Cell{} : Cell(one.fault)});
    if (!one.fault.empty())
      add_missing(report_,
                  fmt::format("the task at {:#x} is not known: {}", one.task.address.value, one.fault));
  }

  Report report_;
  std::vector<RunQueue> all_;
};

Report run(const Invocation& invocation) {
  if (invocation.flag("-g"))
    throw UsageError(
        "runq -g: groups of tasks are not shown: a task's line is indented by the groups it is in");
  return with_session(invocation,
                      [&](const Session& session) { return RunQueues(session).finish(invocation); });
}

}  // namespace

Command make_runq() {
  std::vector<OptionSpec> options = {
      {"-t", "", "show each run queue's clock, and when its current task came to run"},
      {"-m", "", "show for how long each CPU's current task has run"},
      {"-g", "", "not supported: the groups of tasks"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"runq",
          "show what each CPU runs, and which tasks wait to run there",
          "kvista -c vmcore runq\n  the run queues; -m: for how long the current tasks have run",
          {},
          options,
          {queues_spec(), tasks_spec()},
          run};
}

}  // namespace kvista::cli
