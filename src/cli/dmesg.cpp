// kvista dmesg: the kernel's log.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <set>

#include "base/error.h"
#include "cli/command.h"
#include "cli/log_text.h"
#include "machine/kernel_log.h"

namespace kvista::cli {
namespace {

using decode::PrintkLog;
using decode::PrintkRecord;

constexpr int64_t kNanoseconds = 1000000000;

TableSpec messages_spec() {
  return {"messages",
          "the messages of the kernel's log, oldest first",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "the message as dmesg prints it", Show::only_text},
           {"seq", "SEQ", Type::integer, "", "number of the message since boot; null before 5.10",
            Show::only_json},
           {"time_ns", "TIME", Type::integer, "nanoseconds", "since boot", Show::only_json},
           {"wall_time", "WALL TIME", Type::text, "",
            "with --ctime, where it is known: approximately, in UTC", Show::only_json},
           {"facility", "FACILITY", Type::text, "", "who wrote it: kern, user, daemon ...", Show::only_json},
           {"level", "LEVEL", Type::text, "", "emerg, alert, crit, err, warn, notice, info or debug",
            Show::only_json},
           {"caller", "CALLER", Type::text, "",
            "T and a thread's number, or C and a CPU's; null where not kept", Show::only_json},
           {"subsystem", "SUBSYSTEM", Type::text, "", "of the device that it is about", Show::only_json},
           {"device", "DEVICE", Type::text, "", "as udev names it: +pci:0000:00:1f.2, b8:0, n2 ...",
            Show::only_json},
           {"message", "MESSAGE", Type::text, "", "its text, lines included", Show::only_json}}};
}

std::set<uint8_t> parse_levels(const Invocation& invocation) {
  std::set<uint8_t> levels;
  const auto text = invocation.value("--level");
  if (!text) return levels;
  for (const std::string& name : split_at_commas(*text))
    levels.insert(level_by_name(name).value());  // the command line has none but these
  return levels;
}

std::vector<std::string> level_names() {
  std::vector<std::string> names;
  for (uint8_t level = 0; !level_name(level).empty(); ++level) names.emplace_back(level_name(level));
  return names;
}

int64_t now(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) throw Error("the system's clock cannot be read");
  return int64_t{time.tv_sec} * kNanoseconds + time.tv_nsec;
}

// When the kernel booted by the time of its messages, and a sentence on how sure that is. These have the time
// of a clock that does not run while the machine sleeps.
struct BootTime {
  std::optional<int64_t> at;
  std::string note;
};

BootTime boot_time(machine::Machine& machine, const PrintkLog& log) {
  if (machine.image().traits().live)
    return {
        now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC),
        "wall-clock times are approximate: the present time less the time since boot; those from before a "
        "sleep of the machine are too late"};
  const auto crashed = machine.number(machine::FactId::crash_time);
  if (!crashed || *crashed == 0)
    return {
        {},
        "when this kernel booted is not known (VMCOREINFO has no CRASHTIME: it did not crash): times are in "
        "seconds since boot; if you know when the last message was written: --set crash_time=TIME"};
  const auto last = std::find_if(log.records.rbegin(), log.records.rend(),
                                 [](const PrintkRecord& record) { return record.ts_nsec.has_value(); });
  constexpr uint64_t kMostSeconds = uint64_t{1} << 33;  // some centuries
  const uint64_t uptime = last == log.records.rend() ? 0 : *last->ts_nsec;
  if (*crashed > kMostSeconds || uptime / kNanoseconds > *crashed)
    return {{},
            "the time of the panic and that of the last message make no sense together: times are in seconds "
            "since boot"};
  return {static_cast<int64_t>(*crashed * kNanoseconds - uptime),
          "wall-clock times are approximate: the last message is taken for written at the time of the panic"};
}

Cell cell_of(const std::string& text) {
  return text.empty() ? Cell{} : Cell(text);
}
Cell cell_of(std::optional<uint64_t> number) {
  return number ? Cell(*number) : Cell{};
}

Row row_of(const PrintkRecord& record, const LogStyle& style) {
  const auto wall = style.booted ? wall_time(record, *style.booted) : std::nullopt;
  return {format_record(record, style),
          cell_of(record.seq),
          cell_of(record.ts_nsec),
          cell_of(wall.value_or("")),
          cell_of(std::string(record.facility ? facility_name(*record.facility) : "")),
          cell_of(std::string(record.level ? level_name(*record.level) : "")),
          record.caller_id ? Cell(caller_name(*record.caller_id)) : Cell{},
          cell_of(record.subsystem),
          cell_of(record.device),
          record.text};
}

// What is missing of the log, and whose fault that is.
void add_losses(const machine::KernelLog& found, bool live, Report& report) {
  const PrintkLog& log = found.log;
  if (log.damaged != 0 && live) {
    // The kernel goes on writing: what it overwrote meanwhile is gone as it is for its own readers.
    report.warnings.push_back(
        fmt::format("{} messages are left out: they changed while they were read", log.damaged));
  } else if (log.damaged != 0) {
    report.warnings.push_back(fmt::format("{} messages{} are damaged or not in the image; of the first, {}",
                                          log.damaged, log.cut ? " or more" : "", log.why_damaged));
    report.status = ExitStatus::partial;
  }
  if (log.damaged != 0 && !found.unreachable.empty())
    report.warnings.push_back(
        fmt::format("memory outside the kernel image cannot be reached: {}", found.unreachable));
  if (log.unfinished != 0 && !live)
    report.warnings.push_back(fmt::format("{} messages were being written and are left out", log.unfinished));
  if (log.textless != 0)
    report.warnings.push_back(
        fmt::format("the kernel had no room for the text of {} messages", log.textless));
}

machine::KernelLog read_log(machine::Machine& machine) {
  try {
    return machine::read_kernel_log(machine);
  } catch (const Error& error) {
    throw ExplainedError(error, machine);
  }
}

// The records that were asked for.
std::vector<const PrintkRecord*> select(const PrintkLog& log, const std::set<uint8_t>& levels,
                                        bool since_clear) {
  std::vector<const PrintkRecord*> chosen;
  for (size_t i = since_clear ? log.first_since_clear.value_or(0) : 0; i < log.records.size(); ++i) {
    const PrintkRecord& record = log.records[i];
    if (levels.empty() || (record.level && levels.contains(*record.level))) chosen.push_back(&record);
  }
  return chosen;
}

Report run(const Invocation& invocation) {
  const auto operand =
      invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front());
  const std::set<uint8_t> levels = parse_levels(invocation);
  const auto machine = open_machine(invocation, image_paths(invocation, operand), false);
  const machine::KernelLog found = read_log(*machine);

  Report report{"dmesg", {{messages_spec(), {}}}, {}, ExitStatus::complete};
  LogStyle style{invocation.flag("--decode"), invocation.flag("--caller"), {}};
  std::vector<std::string> notes;
  if (invocation.flag("--ctime")) {
    BootTime boot = boot_time(*machine, found.log);
    style.booted = boot.at;
    notes.push_back(std::move(boot.note));
  }
  const bool since_clear = invocation.flag("--since-clear");
  if (since_clear && !found.log.first_since_clear)
    notes.emplace_back("when the log was last cleared is not known: all messages are shown");
  for (const PrintkRecord* record : select(found.log, levels, since_clear))
    report.tables[0].rows.push_back(row_of(*record, style));
  report.warnings = machine->warnings();
  report.warnings.insert(report.warnings.end(), notes.begin(), notes.end());
  add_losses(found, machine->image().traits().live, report);
  return report;
}

}  // namespace

Command make_dmesg() {
  std::vector<OptionSpec> options = {
      {"--ctime", "", "times of the clock on the wall, approximately, in UTC", false, 'T'},
      {"--level", "LEVEL[,LEVEL...]",
       "only messages of these levels: emerg alert crit err warn notice info debug", false, 'l',
       level_names(), true},
      {"--decode", "", "facility and level before each line", false, 'x'},
      {"--caller", "", "which thread (T) or CPU (C) wrote it, behind the time"},
      {"--since-clear", "", "only what was written after the log was last cleared (dmesg -c)"},
  };
  for (OptionSpec& option : machine_options()) options.push_back(std::move(option));
  return {"dmesg",
          "print the kernel's log",
          "kvista -c vmcore dmesg -l emerg,alert,crit,err\n  what the kernel that crashed complained of last",
          {{"IMAGE", "the image; default: /proc/vmcore, or the running kernel"}},
          options,
          {messages_spec()},
          run};
}

}  // namespace kvista::cli
