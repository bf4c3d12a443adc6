// kvista task: a task's struct task_struct.
#include "base/error.h"
#include "cli/command.h"
#include "cli/task_operand.h"
#include "cli/task_tables.h"
#include "cli/value_table.h"
#include "unwind/task_stacks.h"

namespace kvista::cli {
namespace {

using kernel::Session;

}  // namespace

// The members are NAME,NAME of task_struct, or of its thread_info where task_struct has none of that name.
Gaps add_task_struct(Table& table, const Session& session, const kernel::Task& task,
                     const Invocation& invocation) {
  const Value& object = task.object;
  if (!table.rows.empty()) add_line(table, "");
  add_line(table, task_head(task));
  const kernel::ValueStyle style = value_style(invocation);
  Gaps gaps;
  std::vector<std::string> members;
  for (const std::string& list : invocation.values("-R"))
    for (std::string& member : split_at_commas(list)) members.push_back(std::move(member));
  if (members.empty()) gaps += add_value(table, session, object, "", style);
  for (const std::string& member : members) {
    const std::string first = member.substr(0, member.find_first_of(".["));
    const bool is_thread_info =
        !object.has(first) && object.has("thread_info") && object["thread_info"].has(first);
    const Value value = member_of(is_thread_info ? object["thread_info"] : object, member);
    gaps += add_value(table, session, value, member + " = ", style);
  }
  return gaps;
}

OptionSpec members_option() {
  return {"-R", "MEMBER", "only these members, with commas between; also those of its thread_info", true};
}

namespace {

std::vector<Value> wanted_tasks(const Invocation& invocation, const Session& session) {
  std::vector<Value> tasks;
  for (const std::string& operand : invocation.operands)
    for (const Value& task : tasks_of_operand(session, "task", operand)) tasks.push_back(task);
  if (!tasks.empty()) return tasks;
  if (const auto chosen = chosen_task(invocation, session)) return {*chosen};
  return {unwind::TaskStacks(session).current_task()};
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    Report report{"task", {{value_spec(), {}}}, {}, ExitStatus::complete};
    const kernel::TaskReader reader(session);
    Gaps gaps;
    for (const Value& task : wanted_tasks(invocation, session))
      gaps += add_task_struct(report.tables[0], session, reader.read_identity(task), invocation);
    add_gaps(report, gaps);
    return report;
  });
}

}  // namespace

Command make_task() {
  std::vector<OptionSpec> options = {members_option()};
  for (OptionSpec& one : value_options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "task",
      "show the struct task_struct of a task",
      "kvista -c vmcore task -R comm,flags,thread.sp 1\n  some members of the first process",
      {{"TASK",
        "a pid, or the address of a task_struct; default: what the CPU ran that crashed, or the first CPU",
        false,
        {},
        true}},
      options,
      {value_spec()},
      run};
}

}  // namespace kvista::cli
