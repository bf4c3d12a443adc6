// ps -m: which tasks came to run last.
#pragma once

#include <vector>

#include "cli/report.h"
#include "kernel/tasks.h"

namespace kvista::cli {

TableSpec last_run_spec();
/// A row for each task, the one that came to run last first; those of which it is not known come last.
void add_last_runs(const kernel::Session& session, const std::vector<const kernel::Task*>& tasks,
                   Table& table);

}  // namespace kvista::cli
