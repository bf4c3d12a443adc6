// kvista sys: the system as a whole.
#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"
#include "cli/duration.h"
#include "kernel/system.h"
#include "kvista/fact.h"

namespace kvista::cli {
namespace {

TableSpec system_spec() {
  return {
      "system",
      "one row: the system",
      Layout::pairs,
      {{"image", "IMAGE", Type::text, "", "what was read"},
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
       {"panic", "PANIC", Type::text, "", "the log's line that says why it died; null where there is none"}}};
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

Row row_of(const kernel::Session& session, const kernel::System& system) {
  const auto date = [&](int64_t seconds) {
    return machine::format(machine::FactValue(static_cast<uint64_t>(seconds)), machine::Form::time);
  };
  const auto* debuginfo = session.debuginfo();
  return {session.image().traits().path,
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
          text_or_nothing(system.panic)};
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [](const kernel::Session& session) {
    const kernel::System system = kernel::read_system(session);
    Report report{"sys", {{system_spec(), {row_of(session, system)}}}, {}, ExitStatus::complete};
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
          machine_options(),
          {system_spec()},
          run};
}

}  // namespace kvista::cli
