// Tasks as operands of commands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "kernel/session.h"
#include "kernel/tasks.h"

namespace kvista::cli {

/// The tasks that an operand of `command` means: a pid (0: each CPU's idle task), or the address of a
/// task_struct. Throws UsageError for what is neither, NotFound where no task is that.
std::vector<Value> tasks_of_operand(const kernel::Session& session, const std::string& command,
                                    const std::string& operand);
/// The task that the shell's `set` chose, or nothing.
std::optional<Value> chosen_task(const Invocation& invocation, const kernel::Session& session);
/// "PID: 1  TASK: ffff888003a80000  CPU: 0  COMMAND: "init"", as crash has it.
std::string task_head(const kernel::Task& task);

}  // namespace kvista::cli
