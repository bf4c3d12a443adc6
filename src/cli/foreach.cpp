// kvista foreach: a command for each of many tasks.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <regex>
#include <string_view>

#include "cli/command.h"
#include "cli/stack_report.h"
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

Report stacks_of(const Invocation& invocation, const TaskFilter& filter) {
  return with_session(invocation, [&](const Session& session) {
    StackReport stacks(session, "foreach", stack_style(invocation, session));
    kernel::TaskList list = kernel::all_tasks(session);
    std::vector<Task> tasks;
    for (const Value& object : list.tasks) {
      tasks.push_back(stacks.tasks().read_identity(object));
      if (filter.fits(tasks.back())) stacks.add(tasks.back());
    }
    Report report = stacks.finish();
    for (const std::string& fault : list.faults) add_missing(report, fault);
    for (const std::string& word : filter.unmatched(tasks))
      add_missing(report, fmt::format("no task is {}", word));
    return report;
  });
}

Report run(const Invocation& invocation) {
  std::vector<std::string> words = invocation.operands;
  if (words.empty() || words.back() != "bt")
    throw UsageError(fmt::format("foreach: expected which tasks, then a command: bt{}",
                                 words.empty() ? "" : fmt::format("; found {}", words.back())));
  words.pop_back();
  return stacks_of(invocation, TaskFilter(words));
}

}  // namespace

Command make_foreach() {
  std::vector<OptionSpec> options = stack_options();
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "foreach",
      "show the stacks of many tasks",
      "kvista -c vmcore foreach UN bt --unique\n  what the tasks wait for that cannot be interrupted, and "
      "how many for "
      "what",
      {{"WORD",
        "which tasks: states (UN, RU ...), user, kernel, gleader, active, names, pids, addresses, a regular "
        "expression between single quotes; default: all. Then the command: bt",
        true,
        {},
        true}},
      options,
      stack_tables(),
      run};
}

}  // namespace kvista::cli
