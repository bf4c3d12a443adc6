// kvista bt: the stacks of tasks.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/stack_report.h"
#include "cli/task_operand.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::Session;

constexpr unsigned kMostCpu = 65535;

unsigned cpu_number(const std::string& text, const std::string& list) {
  const auto number = vmcoreinfo::parse_number(text, false);
  if (!number || *number > kMostCpu)
    throw UsageError(
        fmt::format("bt -c {}: expected CPUs from 0 to {}, as in 0-3,7, or a for all", list, kMostCpu));
  return static_cast<unsigned>(*number);
}

// "0-3,7", or "a": all. Of a range those that there are.
std::vector<Value> tasks_on(const std::string& list, const unwind::TaskStacks& stacks) {
  std::vector<Value> tasks;
  if (list == "a") {
    for (const auto& [cpu, task] : stacks.running().by_cpu) tasks.push_back(stacks.task_on(cpu));
    return tasks;
  }
  for (const std::string& part : split_at_commas(list)) {
    const size_t dash = part.find('-');
    const unsigned first = cpu_number(part.substr(0, dash), list);
    if (dash == std::string::npos) {
      tasks.push_back(stacks.task_on(first));
      continue;
    }
    const unsigned last = cpu_number(part.substr(dash + 1), list);
    const size_t before = tasks.size();
    for (auto at = stacks.running().by_cpu.lower_bound(first);
         at != stacks.running().by_cpu.end() && at->first <= last; ++at)
      tasks.push_back(stacks.task_on(at->first));
    if (tasks.size() == before) tasks.push_back(stacks.task_on(first));  // throws: there is no such CPU
  }
  return tasks;
}

std::vector<Value> wanted_tasks(const Invocation& invocation, const Session& session,
                                const unwind::TaskStacks& stacks, std::vector<std::string>& faults) {
  std::vector<Value> tasks;
  if (invocation.flag("-a"))
    for (const auto& [cpu, task] : stacks.running().by_cpu) tasks.push_back(stacks.task_on(cpu));
  for (const std::string& list : invocation.values("--cpu"))
    for (const Value& task : tasks_on(list, stacks)) tasks.push_back(task);
  for (const std::string& operand : invocation.operands)
    for (const Value& task : tasks_of_operand(session, "bt", operand)) tasks.push_back(task);
  if (!tasks.empty() || invocation.flag("-a")) return tasks;
  // One stack alone is in no group: those of all tasks are meant.
  if (invocation.flag("--unique")) {
    kernel::TaskList list = kernel::all_tasks(session);
    faults = std::move(list.faults);
    return std::move(list.tasks);
  }
  if (const auto chosen = chosen_task(invocation, session)) return {*chosen};
  return {stacks.current_task()};
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    StackReport report(session, "bt", stack_style(invocation, session));
    std::vector<std::string> faults;
    for (const Value& task : wanted_tasks(invocation, session, report.stacks(), faults))
      report.add(report.tasks().read_identity(task));
    Report finished = report.finish();
    for (const std::string& fault : faults) add_missing(finished, fault);
    return finished;
  });
}

}  // namespace

Command make_bt() {
  std::vector<OptionSpec> options = {
      {"-a", "", "the task that each CPU runs"},
      {"--cpu", "LIST", "what these CPUs run: 0-3,7, or a for all", true, 'c'}};
  for (OptionSpec& one : stack_options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"bt",
          "show the stacks of tasks: which function called which",
          "kvista -c vmcore bt -a\n  what each CPU was doing; without -a, what the one did that crashed",
          {{"TASK",
            "a pid, or the address of a task_struct; default: what the CPU ran that crashed, or the first "
            "CPU; with "
            "--unique all",
            false,
            {},
            true}},
          options,
          stack_tables(),
          run};
}

}  // namespace kvista::cli
