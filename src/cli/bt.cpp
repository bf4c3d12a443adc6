// kvista bt: the stacks of tasks.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/stack_report.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::Session;

Value task_at(const Session& session, VirtAddr address) {
  return session.object(session.types().resolve("struct task_struct"), address);
}

// The task of a process number, or the one at an address.
std::vector<Value> tasks_of(const Session& session, const std::string& operand) {
  const auto pid = vmcoreinfo::parse_number(operand, false);
  const auto address = vmcoreinfo::parse_number(operand, true);
  if (pid && *pid != 0) try {
      if (const auto task = kernel::task_by_number(session, *pid)) return {*task};
    } catch (const Error&) {
      // The list of tasks may have it.
    }
  std::vector<Value> found;
  const kernel::TaskList list = kernel::all_tasks(session);
  for (const Value& task : list.tasks)
    if ((address && task.address()->value == *address) || (pid && task["pid"].number() == *pid))
      found.push_back(task);
  if (!found.empty()) return found;
  if (!pid && !address)
    throw UsageError(fmt::format("bt: expected a pid or the address of a task_struct, found {}", operand));
  std::string why;
  for (const std::string& fault : list.faults) why += "; " + fault;
  throw NotFound(fmt::format("no task is {}{}", operand, why));
}

// What a CPU runs.
Value running_on(const Session& session, const unwind::TaskStacks& stacks, unsigned cpu) {
  const auto at = stacks.running().find(cpu);
  if (at == stacks.running().end())
    throw NotFound(fmt::format("what CPU {} runs is not known{}", cpu,
                               stacks.running().empty() ? "" : ": there is no such CPU"));
  return task_at(session, at->second);
}

std::vector<Value> wanted_tasks(const Invocation& invocation, const Session& session,
                                const unwind::TaskStacks& stacks) {
  std::vector<Value> tasks;
  constexpr unsigned kMostCpu = 65535;
  if (invocation.flag("-a"))
    for (const auto& [cpu, task] : stacks.running()) tasks.push_back(task_at(session, task));
  if (invocation.flag("--cpu"))
    tasks.push_back(running_on(session, stacks, number_option(invocation, "--cpu", 0, kMostCpu, 0)));
  for (const std::string& operand : invocation.operands)
    for (const Value& task : tasks_of(session, operand)) tasks.push_back(task);
  if (!tasks.empty() || invocation.flag("-a")) return tasks;
  const unsigned first = stacks.running().empty() ? 0 : stacks.running().begin()->first;
  return {running_on(session, stacks, stacks.crashing_cpu().value_or(first))};
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    StackReport report(session, "bt", stack_style(invocation, session));
    for (const Value& task : wanted_tasks(invocation, session, report.stacks()))
      report.add(report.tasks().read_identity(task));
    return report.finish();
  });
}

}  // namespace

Command make_bt() {
  std::vector<OptionSpec> options = {{"-a", "", "the task that each CPU runs"},
                                     {"--cpu", "CPU", "the task that this CPU runs"}};
  for (OptionSpec& one : stack_options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "bt",
      "show the stacks of tasks: which function called which",
      "kvista -c vmcore bt -a\n  what each CPU was doing; without -a, what the one did that crashed",
      {{"TASK",
        "a pid, or the address of a task_struct; default: what the CPU ran that crashed, or the first CPU",
        false,
        {},
        true}},
      options,
      stack_tables(),
      run};
}

}  // namespace kvista::cli
