// kvista bt: the stacks of tasks.
#include "cli/command.h"
#include "cli/stack_report.h"
#include "cli/task_operand.h"

namespace kvista::cli {
namespace {

using kernel::Session;

std::vector<Value> wanted_tasks(const Invocation& invocation, const Session& session,
                                const unwind::TaskStacks& stacks) {
  std::vector<Value> tasks;
  constexpr unsigned kMostCpu = 65535;
  if (invocation.flag("-a"))
    for (const auto& [cpu, task] : stacks.running()) tasks.push_back(stacks.task_on(cpu));
  if (invocation.flag("--cpu"))
    tasks.push_back(stacks.task_on(number_option(invocation, "--cpu", 0, kMostCpu, 0)));
  for (const std::string& operand : invocation.operands)
    for (const Value& task : tasks_of_operand(session, "bt", operand)) tasks.push_back(task);
  if (!tasks.empty() || invocation.flag("-a")) return tasks;
  if (const auto chosen = chosen_task(invocation, session)) return {*chosen};
  return {stacks.current_task()};
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
                                     {"--cpu", "CPU", "the task that this CPU runs", false, 'c'}};
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
