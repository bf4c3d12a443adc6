#include "cli/task_operand.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/report.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {

std::vector<Value> tasks_of_operand(const kernel::Session& session, const std::string& command,
                                    const std::string& operand) {
  const auto pid = vmcoreinfo::parse_number(operand, false);
  const auto address = vmcoreinfo::parse_number(operand, true);
  if (!pid && !address)
    throw UsageError(
        fmt::format("{}: expected a pid or the address of a task_struct, found {}", command, operand));
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
  std::string why;
  for (const std::string& fault : list.faults) why += "; " + fault;
  throw NotFound(fmt::format("no task is {}{}", operand, why));
}

std::optional<Value> chosen_task(const Invocation& invocation, const kernel::Session& session) {
  if (invocation.opened == nullptr || !invocation.opened->task) return std::nullopt;
  return session.object(session.types().resolve("struct task_struct"), *invocation.opened->task);
}

std::string task_head(const kernel::Task& task) {
  const auto shown = [](const std::optional<uint64_t>& number) {
    return to_text(number ? Cell(*number) : Cell{});
  };
  return fmt::format("PID: {:<7}  TASK: {:x}  CPU: {:<3}  COMMAND: {}", shown(task.pid), task.address.value,
                     shown(task.cpu), task.comm ? fmt::format("\"{}\"", *task.comm) : "-");
}

}  // namespace kvista::cli
