// kvista foreach: a command for each of many tasks.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>
#include <string_view>

#include "cli/command.h"
#include "cli/stack_report.h"
#include "cli/task_tables.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using kernel::Task;

constexpr std::array<std::string_view, 11> kStates = {"RU", "IN", "UN", "ST", "ZO", "TR",
                                                      "DE", "WA", "PA", "ID", "NE"};

// The words before the command: which tasks are meant. Of each kind that is given, one must fit.
class TaskFilter {
 public:
  explicit TaskFilter(const std::vector<std::string>& words) {
    for (const std::string& word : words) add(word);
  }

  bool fits(const Task& task) const {
    return fits_kind(task) && fits_state(task) && (names_.empty() || is_named(task));
  }
  std::vector<std::string> unmatched(const std::vector<Task>& tasks) const {
    std::vector<std::string> words;
    for (const std::string& word : names_)
      if (std::none_of(tasks.begin(), tasks.end(), [&](const Task& task) { return is_called(task, word); }))
        words.push_back(word);
    return words;
  }

 private:
  void add(const std::string& word) {
    if (word == "user")
      user_ = true;
    else if (word == "kernel")
      kernel_ = true;
    else if (word == "gleader")
      leaders_ = true;
    else if (word == "active")
      active_ = true;
    else if (std::find(kStates.begin(), kStates.end(), word) != kStates.end())
      states_.push_back(word);
    else
      names_.push_back(word);
  }

  // What is not known leaves no task out.
  bool fits_kind(const Task& task) const {
    if (kernel_ != user_ && task.is_kernel_thread.value_or(kernel_) != kernel_) return false;
    if (leaders_ && task.pid && task.tgid && task.pid != task.tgid) return false;
    return !active_ || task.is_active;
  }
  bool fits_state(const Task& task) const {
    return states_.empty() || !task.state ||
           std::find(states_.begin(), states_.end(), *task.state) != states_.end();
  }
  bool is_named(const Task& task) const {
    return std::any_of(names_.begin(), names_.end(),
                       [&](const std::string& word) { return is_called(task, word); });
  }
  // A name, a pid, a task_struct's address, or a regular expression between single quotes.
  static bool is_called(const Task& task, const std::string& word) {
    if (word.size() > 2 && word.front() == '\'' && word.back() == '\'')
      return task.comm && matches(*task.comm, word);
    const auto pid = vmcoreinfo::parse_number(word, false);
    const auto address = vmcoreinfo::parse_number(word, true);
    const std::string name = word.starts_with('\\') ? word.substr(1) : word;
    return task.comm == name || (pid && task.pid == *pid) || (address && task.address.value == *address);
  }
  static bool matches(const std::string& comm, const std::string& quoted) {
    try {
      return std::regex_search(comm, std::regex(quoted.substr(1, quoted.size() - 2), std::regex::extended));
    } catch (const std::regex_error& error) {
      throw UsageError(fmt::format("foreach: {} is no regular expression: {}", quoted, error.what()));
    }
  }

  bool user_ = false;
  bool kernel_ = false;
  bool leaders_ = false;
  bool active_ = false;
  std::vector<std::string> states_;
  std::vector<std::string> names_;
};

// The tasks that are meant, as far as their list goes.
struct Chosen {
  std::vector<Task> tasks;
  std::vector<std::string> missing;
};

Chosen choose(const Session& session, const TaskFilter& filter, const kernel::TaskReader& reader) {
  Chosen chosen;
  kernel::TaskList list = kernel::all_tasks(session);
  std::vector<Task> all;
  for (const Value& object : list.tasks) {
    all.push_back(reader.read_identity(object));
    if (filter.fits(all.back())) chosen.tasks.push_back(all.back());
  }
  chosen.missing = std::move(list.faults);
  for (const std::string& word : filter.unmatched(all))
    chosen.missing.push_back(fmt::format("no task is {}", word));
  return chosen;
}

Report bt_of(const Invocation& invocation, const Session& session, const TaskFilter& filter, Chosen& chosen) {
  StackReport stacks(session, "foreach", stack_style(invocation, session));
  chosen = choose(session, filter, stacks.tasks());
  for (const Task& task : chosen.tasks) stacks.add(task);
  return stacks.finish();
}

Report ps_of(const Invocation& /*invocation*/, const Session& session, const TaskFilter& filter,
             Chosen& chosen) {
  Report report{"foreach", {{ps_spec(), {}}}, {}, ExitStatus::complete};
  kernel::TaskReader reader(session);
  chosen = choose(session, filter, reader);
  for (Task& task : chosen.tasks) task = reader.read(task.object);
  std::vector<const Task*> shown;
  for (const Task& task : chosen.tasks) {
    report.tables[0].rows.push_back(ps_row(task));
    shown.push_back(&task);
  }
  add_unreadable_tasks(report, shown);
  return report;
}

Report task_of(const Invocation& invocation, const Session& session, const TaskFilter& filter,
               Chosen& chosen) {
  Report report{"foreach", {{value_spec(), {}}}, {}, ExitStatus::complete};
  chosen = choose(session, filter, kernel::TaskReader(session));
  Gaps gaps;
  for (const Task& task : chosen.tasks) gaps += add_task_struct(report.tables[0], session, task, invocation);
  add_gaps(report, gaps);
  return report;
}

struct Runner {
  const char* name;
  std::vector<OptionSpec> (*options)();
  std::vector<TableSpec> (*tables)();
  Report (*run)(const Invocation&, const Session&, const TaskFilter&, Chosen&);
};
const std::array kRunners = {
    Runner{"bt", stack_options, stack_tables, bt_of},
    Runner{"ps", [] { return std::vector<OptionSpec>{}; }, [] { return std::vector{ps_spec()}; }, ps_of},
    Runner{"task",
           [] {
             std::vector<OptionSpec> options = {members_option()};
             for (OptionSpec& one : value_options()) options.push_back(std::move(one));
             return options;
           },
           [] { return std::vector{value_spec()}; }, task_of}};
// What crash's foreach has besides.
constexpr std::array<std::string_view, 6> kOthers = {"vm", "files", "net", "set", "sig", "vtop"};

std::vector<TableSpec> all_tables() {
  std::vector<TableSpec> specs;
  for (const Runner& runner : kRunners)
    for (TableSpec& spec : runner.tables()) specs.push_back(std::move(spec));
  return specs;
}

const Runner& runner_of(const std::vector<std::string>& words) {
  const std::string last = words.empty() ? "" : words.back();
  for (const Runner& runner : kRunners)
    if (last == runner.name) return runner;
  if (std::find(kOthers.begin(), kOthers.end(), last) != kOthers.end())
    throw UsageError(fmt::format("foreach {}: not supported: there are bt, ps and task", last));
  throw UsageError(fmt::format("foreach: expected which tasks, then a command: bt, ps or task{}",
                               words.empty() ? "" : fmt::format("; found {}", last)));
}

// An option of another command makes no sense with this one.
void check_options(const Invocation& invocation, const Runner& chosen) {
  const std::vector<OptionSpec> own = chosen.options();
  for (const Runner& runner : kRunners)
    for (const OptionSpec& option : runner.options())
      if (invocation.flag(option.name) && std::none_of(own.begin(), own.end(), [&](const OptionSpec& one) {
            return one.name == option.name;
          }))
        throw UsageError(fmt::format("foreach {}: {} is for {}", chosen.name, option.name, runner.name));
}

Report run(const Invocation& invocation) {
  std::vector<std::string> words = invocation.operands;
  const Runner& runner = runner_of(words);
  check_options(invocation, runner);
  words.pop_back();
  const TaskFilter filter(words);
  return with_session(invocation, [&](const Session& session) {
    Chosen chosen;
    Report report = runner.run(invocation, session, filter, chosen);
    std::vector<Table> tables;
    for (TableSpec& spec : all_tables()) {
      const auto own = std::find_if(report.tables.begin(), report.tables.end(),
                                    [&](const Table& one) { return one.spec.name == spec.name; });
      // Its own: which columns registers have, depends on the image.
      if (own != report.tables.end())
        tables.push_back(std::move(*own));
      else
        tables.push_back({std::move(spec), {}});
    }
    report.tables = std::move(tables);
    for (const std::string& missing : chosen.missing) add_missing(report, missing);
    return report;
  });
}

}  // namespace

Command make_foreach() {
  std::vector<OptionSpec> options;
  for (const Runner& runner : kRunners)
    for (OptionSpec& one : runner.options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "foreach",
      "run a command for each of many tasks: bt, ps or task",
      "kvista -c vmcore foreach UN bt --unique\n  what the tasks wait for that cannot be interrupted, and "
      "how many for "
      "what",
      {{"WORD",
        "which tasks: states (UN, RU ...), user, kernel, gleader, active, names, pids, addresses, a regular "
        "expression between single quotes; default: all. Then the command: bt, ps or task",
        true,
        {},
        true}},
      options,
      all_tables(),
      run};
}

}  // namespace kvista::cli
