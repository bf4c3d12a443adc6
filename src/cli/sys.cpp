// kvista sys: the system as a whole.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/command.h"
#include "cli/duration.h"
#include "cli/stack_report.h"
#include "kernel/firmware.h"
#include "kernel/system.h"
#include "kvista/fact.h"
#include "unwind/task_stacks.h"

namespace kvista::cli {
namespace {

TableSpec system_spec() {
  return {
      "system",
      "one row: the system",
      Layout::pairs,
      {{"image_text", "IMAGE", Type::text, "", "what was read", Show::only_text},
       {"image", "IMAGE", Type::text, "", "what was read", Show::only_json},
       {"dump_level", "DUMP LEVEL", Type::integer, "",
        "which pages its writer says that it left out; null where it does not say", Show::only_json},
       {"cpus", "CPUS", Type::integer, "", "that run"},
       {"date", "DATE", Type::text, "", "by the kernel's clock, UTC"},
       {"uptime", "UPTIME", Type::text, "", "since the kernel started", Show::only_text},
       {"uptime_seconds", "UPTIME", Type::integer, "s", "since the kernel started", Show::only_json},
       {"load_average", "LOAD AVERAGE", Type::text, "", "over 1, 5 and 15 minutes"},
       {"tasks", "TASKS", Type::integer, "", "all that kvista ps lists"},
       {"nodename", "NODENAME", Type::text, "", "as uname -n"},
       {"release", "RELEASE", Type::text, "", "as uname -r"},
       {"version", "VERSION", Type::text, "", "as uname -v"},
       {"machine", "MACHINE", Type::text, "", "as uname -m"},
       {"memory", "MEMORY", Type::text, "", "that the kernel manages", Show::only_text},
       {"memory_bytes", "MEMORY", Type::integer, "bytes", "that the kernel manages", Show::only_json},
       {"debuginfo", "DEBUGINFO", Type::text, "",
        "the file that types and source lines are taken from; null where the kernel's own types are"},
       {"taints", "TAINTS", Type::text, "", "letters of what taints the kernel; the table taints says more"},
       {"panic", "PANIC", Type::text, "", "the log's line that says why it died; null where there is none"},
       {"panic_pid", "PID", Type::integer, "", "of what the CPU ran that crashed; null where none did"},
       {"panic_comm", "COMMAND", Type::text, "", "its name"},
       {"panic_task", "TASK", Type::hex, "", "where its struct task_struct is"},
       {"panic_cpu", "CPU", Type::integer, "", "that crashed"},
       {"panic_state", "STATE", Type::text, "", "the task's, as in kvista ps"}}};
}

TableSpec taints_spec() {
  return {"taints",
          "what taints the kernel",
          Layout::grid,
          {{"letter", "TAINT", Type::text, "", "as in the kernel's messages"},
           {"bit", "BIT", Type::integer, "", "of tainted_mask"},
           {"meaning", "MEANING", Type::text, "", "in words"},
           {"modules", "MODULES", Type::text, "", "that brought it along, of those that are loaded"}}};
}

TableSpec dmi_spec() {
  return {"dmi",
          "with -i: what the firmware says of the machine",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "the field's name, and its text", Show::only_text},
           {"field", "FIELD", Type::text, "", "as the kernel calls it", Show::only_json},
           {"text", "TEXT", Type::text, "", "what it says", Show::only_json}}};
}

Report report_dmi(const kernel::Session& session) {
  Table table{dmi_spec(), {}};
  constexpr size_t kWidth = 24;
  for (const kernel::DmiField& field : kernel::dmi_fields(session))
    table.rows.push_back({fmt::format("{:>{}}: {}", field.name, kWidth, field.text), field.name, field.text});
  if (table.rows.empty()) throw NotFound("the firmware said nothing of the machine (no DMI)");
  return {"sys", {std::move(table)}, {}, ExitStatus::complete};
}

std::string memory_text(uint64_t bytes) {
  constexpr double kGib = 1 << 30;
  constexpr double kMib = 1 << 20;
  const auto size = static_cast<double>(bytes);
  return size >= kGib ? fmt::format("{:.1f} GB", size / kGib) : fmt::format("{:.1f} MB", size / kMib);
}

Cell text_or_nothing(const std::string& text) {
  return text.empty() ? Cell{} : Cell(text);
}
template <typename T>
Cell or_nothing(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}

Cell taints_text(const kernel::System& system) {
  if (!system.taints) return {};
  std::string letters;
  for (const kernel::Taint& taint : system.taints->list) letters += taint.letter;
  return letters.empty() ? "none" : letters;
}

Row row_of(const kernel::Session& session, const kernel::System& system,
           const std::optional<kernel::Task>& task) {
  const auto date = [&](int64_t seconds) {
    return machine::format(machine::FactValue(static_cast<uint64_t>(seconds)), machine::Form::time);
  };
  const auto* debuginfo = session.debuginfo();
  const auto& traits = session.image().traits();
  const bool is_partial = traits.dump_level.value_or(0) != 0;
  return {is_partial ? traits.path + "  [PARTIAL DUMP]" : traits.path,
          traits.path,
          traits.dump_level ? Cell(uint64_t{*traits.dump_level}) : Cell{},
          or_nothing(system.cpus),
          system.date ? Cell(date(*system.date)) : Cell{},
          system.uptime ? Cell(duration_text(static_cast<uint64_t>(std::max<int64_t>(*system.uptime, 0))))
                        : Cell{},
          or_nothing(system.uptime),
          text_or_nothing(system.load_average),
          or_nothing(system.tasks),
          text_or_nothing(system.nodename),
          text_or_nothing(system.release),
          text_or_nothing(system.version),
          text_or_nothing(system.machine),
          system.memory ? Cell(memory_text(*system.memory)) : Cell{},
          or_nothing(system.memory),
          debuginfo == nullptr ? Cell{} : Cell(debuginfo->path()),
          taints_text(system),
          text_or_nothing(system.panic),
          task ? or_nothing(task->pid) : Cell{},
          task ? or_nothing(task->comm) : Cell{},
          task ? Cell(Hex{task->address.value}) : Cell{},
          task ? or_nothing(task->cpu) : Cell{},
          task ? or_nothing(task->state) : Cell{}};
}

Table taints_table(const kernel::System& system) {
  Table table{taints_spec(), {}};
  if (!system.taints) return table;
  for (const kernel::Taint& taint : system.taints->list)
    table.rows.push_back({std::string(1, taint.letter), uint64_t{taint.bit}, taint.meaning,
                          text_or_nothing(fmt::format("{}", fmt::join(taint.modules, ", ")))});
  return table;
}

// What the CPU ran that crashed. Nothing where none did, or that is not known.
std::optional<kernel::Task> crashed_task(const kernel::Session& session) {
  if (session.image().traits().live) return std::nullopt;
  try {
    const unwind::TaskStacks stacks(session);
    const auto cpu = stacks.crashing_cpu();
    if (!cpu) return std::nullopt;
    return kernel::TaskReader(session).read_identity(stacks.task_on(*cpu));
  } catch (const Error&) {
    return std::nullopt;  // what is missing for it is missing for other lines, too, and said
  }
}

// The stack's tables, empty where it is not asked for: it takes longer than all else.
Report stack_of(const kernel::Session& session, const std::optional<kernel::Task>& task, bool is_wanted) {
  Report report{"sys", {}, {}, ExitStatus::complete};
  if (!is_wanted) {
    for (TableSpec& spec : stack_tables()) report.tables.push_back({std::move(spec), {}});
    return report;
  }
  StackReport stack(session, "sys", {});
  stack.add(task ? *task : stack.tasks().read_identity(stack.stacks().current_task()));
  return stack.finish();
}

std::vector<TableSpec> all_tables() {
  std::vector<TableSpec> specs = {system_spec(), taints_spec(), dmi_spec()};
  for (TableSpec& spec : stack_tables()) specs.push_back(std::move(spec));
  return specs;
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const kernel::Session& session) {
    if (invocation.flag("-i")) return report_dmi(session);
    const kernel::System system = kernel::read_system(session);
    const auto task = crashed_task(session);
    Report report = stack_of(session, task, invocation.flag("--bt"));
    report.tables.insert(report.tables.begin(),
                         {{system_spec(), {row_of(session, system, task)}}, taints_table(system)});
    for (const std::string& missing : system.missing) add_missing(report, missing);
    return report;
  });
}

}  // namespace

Command make_sys() {
  return {"sys",
          "show the system: what ran, for how long, under which load, and why it died",
          "kvista -c vmcore sys\n  the first look at a dump",
          {},
          [] {
            auto options = machine_options();
            options.insert(options.begin(),
                           {{"--bt", "", "also the stack of what the CPU ran that crashed"},
                            {"-i", "", "show what the firmware says of the machine (DMI) instead"}});
            return options;
          }(),
          all_tables(),
          run};
}

}  // namespace kvista::cli
