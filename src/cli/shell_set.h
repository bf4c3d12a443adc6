// The shell's command `set`: the current task, and variables as crash has them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"

namespace kvista::cli {

/// Whether `set` with these words is about a variable and not about a task.
bool sets_variable(const std::vector<std::string>& words);
/// Sets or shows variables. Returns what is to be said; throws UsageError for what no variable takes.
std::string set_variable(const std::vector<std::string>& words, Opened& opened,
                         std::map<std::string, std::string>& others);

/// The task that `set PID`, `set TASK`, `set -c CPU`, `set -p`, or `set` alone mean. Throws UsageError and
/// NotFound.
Value task_of_set(const std::vector<std::string>& words, const Opened& opened);
/// What is said of it, as crash does.
std::string describe_task(const Value& object, const kernel::Session& session);

}  // namespace kvista::cli
