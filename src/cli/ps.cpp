// kvista ps: tasks, as crash's users know them.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cli/command.h"
#include "cli/duration.h"
#include "cli/last_run.h"
#include "cli/task_tables.h"
#include "kernel/system.h"
#include "kernel/tasks.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using kernel::Task;

constexpr uint64_t kNanoseconds = 1'000'000'000;

// A line for people, and what it says of which task.
TableSpec details_spec(const char* name, const char* description) {
  return {name,
          description,
          Layout::lines,
          {{"line", "LINE", Type::text, "", "the task", Show::only_text},
           {"of", "OF", Type::integer, "", "the pid of the task that was asked for", Show::only_json},
           {"depth", "DEPTH", Type::integer, "", "how far it is from the task, or from the first",
            Show::only_json},
           {"pid", "PID", Type::integer, "", "", Show::only_json},
           {"task", "TASK", Type::hex, "", "", Show::only_json},
           {"cpu", "CPU", Type::integer, "", "", Show::only_json},
           {"comm", "COMM", Type::text, "", "", Show::only_json}}};
}
TableSpec parents_spec() {
  return details_spec("parents", "with -p: the line of each task's parents, the first of all first");
}
TableSpec children_spec() {
  return details_spec("children", "with -c: each task and its children");
}
TableSpec times_spec() {
  return {"times",
          "with -t: how long each task has run",
          Layout::grid,
          {{"pid", "PID", Type::integer, "", "of the task"},
           {"task", "TASK", Type::hex, "", "where its struct task_struct is"},
           {"run_time", "RUN TIME", Type::text, "", "since it was started: days, hours, minutes, seconds"},
           {"start_time", "START TIME", Type::integer, "ns", "after the kernel started"},
           {"user_time", "UTIME", Type::integer, "ns", "that it ran by itself"},
           {"system_time", "STIME", Type::integer, "ns", "that it ran in the kernel"},
           {"comm", "COMM", Type::text, "", "the name"}}};
}
TableSpec states_spec() {
  return {"states",
          "with -S: how many tasks are in each state",
          Layout::grid,
          {{"state", "ST", Type::text, "", "as in the table of tasks"},
           {"tasks", "TASKS", Type::integer, "", "how many"}}};
}

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}
// Its text, or "-".
template <typename T>
std::string text(const std::optional<T>& value) {
  return to_text(cell(value));
}

Row detail_row(const Task& task, const Task& of, unsigned depth) {
  return {fmt::format("{}PID: {}  TASK: {:x}  CPU: {}  COMMAND: {}", std::string(depth, ' '), text(task.pid),
                      task.address.value, text(task.cpu),
                      task.comm ? fmt::format("\"{}\"", *task.comm) : text(task.comm)),
          cell(of.pid),
          uint64_t{depth},
          cell(task.pid),
          Hex{task.address.value},
          cell(task.cpu),
          cell(task.comm)};
}

bool is_meant(const Task& task, const std::string& operand) {
  const auto decimal = vmcoreinfo::parse_number(operand, false);
  const auto address = vmcoreinfo::parse_number(operand, true);
  return task.comm == operand || (decimal && task.pid == *decimal) ||
         (address && task.address.value == *address);
}

bool has_wanted_kind(const Task& task, const Invocation& invocation) {
  // What is not known leaves no task out.
  if (invocation.flag("-k") && !task.is_kernel_thread.value_or(true)) return false;
  if (invocation.flag("-u") && task.is_kernel_thread.value_or(false)) return false;
  if (invocation.flag("-G") && task.pid && task.tgid && task.pid != task.tgid) return false;
  return !invocation.flag("-A") || task.is_active;
}

bool is_named(const Task& task, const Invocation& invocation) {
  const auto& operands = invocation.operands;
  return operands.empty() || std::any_of(operands.begin(), operands.end(),
                                         [&](const std::string& text) { return is_meant(task, text); });
}

// The tasks in an image, and how they hang together.
struct Tasks {
  std::vector<Task> all;
  std::map<VirtAddr, const Task*> by_address;
  std::vector<std::string> faults;
  kernel::RunningTasks running;
  bool by_number = false;  // only those that are asked for
};

// The tasks whose numbers are given, where nothing else is: for these alone not all have to be gone through.
std::vector<Value> tasks_by_number(const Session& session, const Invocation& invocation) {
  std::vector<Value> found;
  if (invocation.flag("-p") || invocation.flag("-c")) return found;
  for (const std::string& operand : invocation.operands) {
    const auto pid = vmcoreinfo::parse_number(operand, false);
    if (!pid || *pid == 0) return {};
    try {
      const auto task = kernel::task_by_number(session, *pid);
      if (!task) return {};
      found.push_back(*task);
    } catch (const Error&) {
      return {};  // the list of tasks may have it
    }
  }
  return found;
}

Tasks read_tasks(const Session& session, const Invocation& invocation) {
  Tasks tasks;
  kernel::TaskList list{tasks_by_number(session, invocation), {}};
  tasks.by_number = !list.tasks.empty();
  if (!tasks.by_number) list = kernel::all_tasks(session);
  tasks.faults = std::move(list.faults);
  kernel::TaskReader reader(session);
  for (const Value& object : list.tasks) tasks.all.push_back(reader.read(object));
  tasks.running = reader.running();
  for (const Task& task : tasks.all) tasks.by_address[task.address] = &task;
  return tasks;
}

// Says which CPUs' tasks are not marked. A task that is about to end, or was new while a running kernel was
// saved, is none of the list, and nothing is wrong.
void add_unmarked(Report& report, const Tasks& tasks, bool is_live) {
  for (const std::string& fault : tasks.running.faults) add_missing(report, fault);
  if (tasks.by_number || is_live) return;
  for (const auto& [cpu, address] : tasks.running.by_cpu)
    if (!tasks.by_address.contains(address))
      report.warnings.push_back(
          fmt::format("what CPU {} runs is none of these tasks: {:x}", cpu, address.value));
}

void add_parents(const Tasks& tasks, const Task& task, Report& report) {
  std::vector<const Task*> line = {&task};
  constexpr size_t kMost = 10'000;  // parents may lead in a circle
  for (const Task* at = &task; at->pid != 0 && line.size() < kMost;) {
    const auto parent = tasks.by_address.find(at->parent);
    if (parent == tasks.by_address.end()) break;
    if (std::find(line.begin(), line.end(), parent->second) != line.end()) {
      add_missing(report, fmt::format("the parents of {} lead in a circle", text(task.pid)));
      break;
    }
    at = parent->second;
    line.push_back(at);
  }
  for (size_t i = line.size(); i-- > 0;)
    report.tables[1].rows.push_back(detail_row(*line[i], task, static_cast<unsigned>(line.size() - 1 - i)));
}

void add_children(const Tasks& tasks, const Task& task, Table& table) {
  table.rows.push_back(detail_row(task, task, 0));
  for (const Task& child : tasks.all)
    if (child.parent == task.address && child.pid == child.tgid && child.pid != 0)
      table.rows.push_back(detail_row(child, task, 1));
}

void add_times(const Task& task, std::optional<uint64_t> now, Table& table) {
  std::optional<std::string> age;
  if (now && task.start_time)
    age = duration_text(*now > *task.start_time ? (*now - *task.start_time) / kNanoseconds : 0);
  table.rows.push_back({cell(task.pid), Hex{task.address.value}, cell(age), cell(task.start_time),
                        cell(task.user_time), cell(task.system_time), cell(task.comm)});
}

// Since the kernel started, without the time that it slept: what start times count. The clock's cycles since
// its last update are left out.
uint64_t monotonic_now(const Session& session) {
  const Value clock = kernel::timekeeper(session);
  return static_cast<uint64_t>(clock["xtime_sec"].signed_number() +
                               clock["wall_to_monotonic"]["tv_sec"].signed_number()) *
         kNanoseconds;
}

void add_states(const std::vector<const Task*>& wanted, Table& table) {
  std::map<std::string, uint64_t> states;
  for (const Task* task : wanted) ++states[text(task->state)];
  for (const auto& [state, count] : states) table.rows.push_back({state, count});
}

// No task is what was asked for, as far as tasks are known.
[[noreturn]] void fail_unknown(Report& report, const Tasks& tasks, const Invocation& invocation) {
  std::vector<const Task*> all;
  for (const Task& task : tasks.all) all.push_back(&task);
  add_unreadable_tasks(report, all);
  std::string why;
  for (const std::string& missing : report.warnings) why += "; " + missing;
  throw NotFound(fmt::format("no task is {}{}", fmt::join(invocation.operands, " or "), why));
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    const Tasks tasks = read_tasks(session, invocation);
    Report report{"ps",
                  {{ps_spec(), {}},
                   {parents_spec(), {}},
                   {children_spec(), {}},
                   {times_spec(), {}},
                   {states_spec(), {}},
                   {last_run_spec(), {}}},
                  {},
                  ExitStatus::complete};
    std::vector<const Task*> wanted;
    for (const Task& task : tasks.all)
      if (has_wanted_kind(task, invocation) && (tasks.by_number || is_named(task, invocation)))
        wanted.push_back(&task);
    std::optional<uint64_t> now;
    if (invocation.flag("-t")) try {
        now = monotonic_now(session);
      } catch (const Error& error) {
        add_missing(report, fmt::format("for how long tasks have run is not known: {}", error.what()));
      }
    bool is_plain = true;
    for (const char* other : {"-p", "-c", "-t", "-S", "-m"}) is_plain = is_plain && !invocation.flag(other);
    for (const Task* task : wanted) {
      if (is_plain) report.tables[0].rows.push_back(ps_row(*task));
      if (invocation.flag("-p")) add_parents(tasks, *task, report);
      if (invocation.flag("-c")) add_children(tasks, *task, report.tables[2]);
      if (invocation.flag("-t")) add_times(*task, now, report.tables[3]);
    }
    if (invocation.flag("-S")) add_states(wanted, report.tables[4]);
    if (invocation.flag("-m")) add_last_runs(session, wanted, report.tables[5]);
    for (const std::string& fault : tasks.faults) add_missing(report, fault);
    add_unmarked(report, tasks, session.image().traits().live);
    if (wanted.empty() && !invocation.operands.empty()) fail_unknown(report, tasks, invocation);
    add_unreadable_tasks(report, wanted);
    return report;
  });
}

}  // namespace

Command make_ps() {
  std::vector<OptionSpec> options = {{"-k", "", "only the kernel's own tasks"},
                                     {"-u", "", "only tasks of processes"},
                                     {"-G", "", "only processes: no other threads of theirs"},
                                     {"-A", "", "only tasks that run on a CPU"},
                                     {"-p", "", "show each task's parents instead"},
                                     {"-c", "", "show each task's children instead"},
                                     {"-t", "", "show how long each task has run instead"},
                                     {"-m", "", "show how long ago each task came to run instead"},
                                     {"-S", "", "show how many tasks are in each state instead"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "ps",
      "list tasks",
      "kvista -c vmcore ps -G\n  the processes, with state, memory and name; > stands before those that run",
      {{"TASK", "show only this one: a pid, a task_struct's address, or a command's name", false, {}, true}},
      options,
      {ps_spec(), parents_spec(), children_spec(), times_spec(), states_spec(), last_run_spec()},
      run};
}

}  // namespace kvista::cli
