// Tables of tasks that several commands have.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/report.h"
#include "cli/value_table.h"
#include "kernel/session.h"
#include "kernel/tasks.h"

namespace kvista::cli {

/// What ps says of each task.
TableSpec ps_spec();
Row ps_row(const kernel::Task& task);
/// Says that some of what is shown is not known.
void add_unreadable_tasks(Report& report, const std::vector<const kernel::Task*>& shown);

/// What task says of each: its head, and its struct task_struct or the members of -R.
Gaps add_task_struct(Table& table, const kernel::Session& session, const kernel::Task& task,
                     const Invocation& invocation);
/// The option -R.
OptionSpec members_option();

}  // namespace kvista::cli
