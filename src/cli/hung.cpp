// kvista hung: tasks that wait and cannot be interrupted.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/duration.h"
#include "unwind/hung_tasks.h"
#include "unwind/task_stacks.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using unwind::HungTask;

constexpr uint64_t kNanoseconds = 1'000'000'000;

TableSpec hung_spec() {
  return {"hung",
          "tasks that wait and cannot be interrupted (state UN), the longest wait first",
          Layout::grid,
          {{"pid", "PID", Type::integer, "", "of the task"},
           {"cpu", "CPU", Type::integer, "", "that it ran on last"},
           {"task", "TASK", Type::hex, "", "where its struct task_struct is"},
           {"waited", "WAITS FOR", Type::text, "",
            "days, hours, minutes, seconds; - where the kernel does not keep it", Show::only_text},
           {"waited_ns", "WAITS FOR", Type::integer, "ns", "null where the kernel does not keep it",
            Show::only_json},
           {"comm", "COMM", Type::text, "", "its name"},
           {"waits_in", "WAITS IN", Type::text, "",
            "the innermost function that is not the scheduler's or a lock's; its whole stack: kvista bt PID"},
           {"called_by", "CALLED BY", Type::text, "", "the function that called it"}}};
}

Cell function_at(const Session& session, const HungTask& one, size_t index) {
  if (!one.waits_in || *one.waits_in + index >= one.trace.frames.size()) return {};
  const unwind::Frame& frame = one.trace.frames[*one.waits_in + index];
  const auto near = session.nearest_symbol(frame.lookup_address());
  if (!near) return fmt::format("{:#x}", frame.address.value);
  return near->symbol.module.empty() ? near->symbol.name
                                     : fmt::format("{} [{}]", near->symbol.name, near->symbol.module);
}

template <typename T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell{};
}

Row row_of(const Session& session, const HungTask& one) {
  return {cell(one.task.pid),
          cell(one.task.cpu),
          Hex{one.task.address.value},
          one.waited ? Cell(duration_text(*one.waited / kNanoseconds)) : Cell{},
          cell(one.waited),
          cell(one.task.comm),
          function_at(session, one, 0),
          function_at(session, one, 1)};
}

Report run(const Invocation& invocation) {
  constexpr unsigned kMostSeconds = 1'000'000'000;
  const unsigned least = number_option(invocation, "--seconds", 0, kMostSeconds, 0);
  return with_session(invocation, [&](const Session& session) {
    Report report{"hung", {{hung_spec(), {}}}, {}, ExitStatus::complete};
    unwind::TaskStacks stacks(session);
    std::vector<std::string> faults;
    for (const HungTask& one : unwind::hung_tasks(session, stacks, faults)) {
      // What is not known leaves none out.
      if (one.waited && *one.waited < least * kNanoseconds) continue;
      report.tables[0].rows.push_back(row_of(session, one));
      if (!one.waits_in)
        add_missing(report,
                    fmt::format("what the task at {:#x} waits in is not known{}{}", one.task.address.value,
                                one.trace.fault.empty() ? "" : ": ", one.trace.fault));
    }
    for (const std::string& fault : faults) add_missing(report, fault);
    return report;
  });
}

}  // namespace

Command make_hung() {
  std::vector<OptionSpec> options = {
      {"--seconds", "N", "only those that wait for at least N seconds; default: 0"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"hung",
          "list tasks that wait and cannot be interrupted, and what they wait in",
          "kvista -c vmcore hung --seconds 120\n  what the kernel itself would call hung",
          {},
          options,
          {hung_spec()},
          run};
}

}  // namespace kvista::cli
