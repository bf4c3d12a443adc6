#include "cli/shell_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "cli/task_operand.h"
#include "kvista/vmcoreinfo.h"
#include "unwind/task_stacks.h"

namespace kvista::cli {
namespace {

using kernel::Session;

struct Variable {
  const char* name;
  const char* value;    // at the start
  const char* why_not;  // it has no effect; null: it has one
};

constexpr const char* kNoPager = "kvista shows everything at once; COMMAND | less shows it by pages";
constexpr const char* kNoLog = "kvista says on standard error what is odd, and no more";
constexpr const char* kNoNeed = "kvista has nothing that it would change";
constexpr std::array kVariables = {
    Variable{"radix", "10", nullptr},
    Variable{"scroll", "off", kNoPager},
    Variable{"console", "off", kNoLog},
    Variable{"debug", "0", kNoLog},
    Variable{"silent", "off", kNoLog},
    Variable{"error", "default", "errors go to standard error; COMMAND 2> is not read"},
    Variable{"core", "off", kNoNeed},
    Variable{"edit", "emacs", "the keys are those of ~/.editrc"},
    Variable{"gdb", "off", kNoNeed},
    Variable{"hash", "on", kNoNeed},
    Variable{"null-stop", "on", kNoNeed},
    Variable{"offline", "show", kNoNeed},
    Variable{"print_array", "off", kNoNeed},
    Variable{"print_max", "200", kNoNeed},
    Variable{"redzone", "on", kNoNeed},
    Variable{"refresh", "on", kNoNeed},
    Variable{"scope", "(not set)", kNoNeed},
    Variable{"unwind", "on", kNoNeed},
    Variable{"zero_excluded", "off", "a page that is missing is never taken for zeros"},
};

const Variable* find_variable(const std::string& name) {
  const auto* found = std::find_if(kVariables.begin(), kVariables.end(),
                                   [&](const Variable& one) { return name == one.name; });
  return found == kVariables.end() ? nullptr : found;
}

std::string value_of(const Variable& variable, const Opened& opened,
                     const std::map<std::string, std::string>& others) {
  if (variable.why_not == nullptr) return opened.is_hex ? "16 (hexadecimal)" : "10 (decimal)";
  const auto found = others.find(variable.name);
  return found == others.end() ? variable.value : found->second;
}

void set_radix(const std::string& text, Opened& opened) {
  constexpr std::array kSixteen = {"16", "hex", "0x10"};
  constexpr std::array kTen = {"10", "dec", "0xa"};
  opened.is_hex = std::find(kSixteen.begin(), kSixteen.end(), text) != kSixteen.end();
  if (!opened.is_hex && std::find(kTen.begin(), kTen.end(), text) == kTen.end())
    throw UsageError(fmt::format("set radix {}: expected 10 or 16", text));
}

struct StateName {
  const char* letters;  // as kernel::Task has it
  const char* name;
};
constexpr std::array kStates = {StateName{"RU", "TASK_RUNNING"},
                                StateName{"IN", "TASK_INTERRUPTIBLE"},
                                StateName{"UN", "TASK_UNINTERRUPTIBLE"},
                                StateName{"ST", "TASK_STOPPED"},
                                StateName{"TR", "TASK_TRACING_STOPPED"},
                                StateName{"ZO", "EXIT_ZOMBIE"},
                                StateName{"DE", "EXIT_DEAD"},
                                StateName{"ID", "TASK_IDLE"},
                                StateName{"NE", "TASK_NEW"},
                                StateName{"PA", "TASK_PARKED"},
                                StateName{"WA", "TASK_WAKING"},
                                StateName{"SW", "TASK_SWAPPING"}};

std::string state_text(const kernel::Task& task) {
  if (!task.state) return "-";
  for (const StateName& one : kStates)
    if (*task.state == one.letters) return one.name;
  return *task.state;
}

unsigned cpu_of(const std::string& text) {
  constexpr uint64_t kMostCpu = 65535;
  const auto cpu = vmcoreinfo::parse_number(text, false);
  if (!cpu || *cpu > kMostCpu) throw UsageError(fmt::format("set -c {}: expected the number of a CPU", text));
  return static_cast<unsigned>(*cpu);
}

}  // namespace

bool sets_variable(const std::vector<std::string>& words) {
  return words.size() > 1 && (words[1] == "-v" || find_variable(words[1]) != nullptr);
}

std::string set_variable(const std::vector<std::string>& words, Opened& opened,
                         std::map<std::string, std::string>& others) {
  std::string said;
  if (words[1] == "-v") {
    for (const Variable& one : kVariables)
      said += fmt::format("{:>13}: {}{}\n", one.name, value_of(one, opened, others),
                          one.why_not == nullptr ? "" : " (without effect)");
    return said;
  }
  const Variable& variable = *find_variable(words[1]);
  if (words.size() > 3) throw UsageError(fmt::format("set {}: expected one value", variable.name));
  if (words.size() == 3 && variable.why_not == nullptr) set_radix(words[2], opened);
  if (words.size() == 3 && variable.why_not != nullptr) others[variable.name] = words[2];
  said = fmt::format("{}: {}", variable.name, value_of(variable, opened, others));
  if (variable.why_not != nullptr) said += fmt::format(" (without effect: {})", variable.why_not);
  return said + "\n";
}

Value task_of_set(const std::vector<std::string>& words, const Opened& opened) {
  const Session& session = *opened.session;
  if (words.size() == 1) {
    Invocation invocation;
    invocation.opened = &opened;
    if (const auto chosen = chosen_task(invocation, session)) return *chosen;
    return unwind::TaskStacks(session).current_task();
  }
  if (words[1] == "-p" && words.size() == 2) return unwind::TaskStacks(session).current_task();
  if (words[1] == "-c" && words.size() == 3) return unwind::TaskStacks(session).task_on(cpu_of(words[2]));
  if (words.size() != 2 || words[1].starts_with('-'))
    throw UsageError("set: expected a pid, the address of a task_struct, -c CPU, -p, -v, or a variable");
  return tasks_of_operand(session, "set", words[1]).front();
}

std::string describe_task(const Value& object, const Session& session) {
  const kernel::Task task = kernel::TaskReader(session).read_identity(object);
  const auto number = [](const std::optional<uint64_t>& value) {
    return value ? std::to_string(*value) : std::string("-");
  };
  const unwind::TaskStacks stacks(session);
  bool is_active = false;
  bool is_panic = false;
  for (const auto& [cpu, running] : stacks.running().by_cpu) {
    if (running.value != task.address.value) continue;
    is_active = true;
    is_panic = is_panic || stacks.crashing_cpu() == cpu;
  }
  return fmt::format("    PID: {}\nCOMMAND: \"{}\"\n   TASK: {:x}\n    CPU: {}\n  STATE: {}{}\n",
                     number(task.pid), task.comm.value_or("-"), task.address.value, number(task.cpu),
                     state_text(task),
                     is_panic    ? " (PANIC)"
                     : is_active ? " (ACTIVE)"
                                 : "");
}

}  // namespace kvista::cli
