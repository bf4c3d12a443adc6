// kvista p: what an expression is worth.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"

namespace kvista::cli {
namespace {

using kernel::Session;

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// crash's "runqueues:a": what each CPU has. Anything else is one value.
std::string all_cpus_of(const std::string& text) {
  for (const char* end : {":a", ":all"})
    if (text.ends_with(end)) return text.substr(0, text.size() - std::string_view(end).size());
  return {};
}

void add_addresses(Table& table, const Session& session, const Value& variable) {
  add_line(table, "PER-CPU DATA TYPE:");
  add_line(table, fmt::format("  {};", variable.type().declaration(variable.expression())));
  add_line(table, "PER-CPU ADDRESSES:");
  for (const unsigned cpu : session.present_cpus()) {
    const VirtAddr at = *variable.per_cpu(cpu).address();
    table.rows.push_back({fmt::format("  [{}]: {:x}", cpu, at.value),
                          fmt::format("{}:{}", variable.expression(), cpu), variable.type().declaration(),
                          Cell{}, Hex{at.value}, uint64_t{cpu}});
  }
}

kernel::Radix radix_of(const Invocation& invocation) {
  if (invocation.flag("-x")) return kernel::Radix::hexadecimal;
  return invocation.flag("-d") ? kernel::Radix::decimal : kernel::Radix::as_c;
}

Report run(const Invocation& invocation) {
  const std::string text = joined(invocation.operands);
  return with_session(invocation, [&](const Session& session) {
    Report report{"p", {{value_spec(), {}}}, {}, ExitStatus::complete};
    Table& table = report.tables[0];
    const kernel::Radix radix = radix_of(invocation);
    size_t faults = 0;
    Value shown;
    if (const std::string name = all_cpus_of(text); !name.empty()) {
      const Value variable = session.evaluate(name);
      for (const unsigned cpu : session.present_cpus()) {
        shown = variable.per_cpu(cpu);
        faults += add_value(table, session, shown, fmt::format("per_cpu({}, {}) = ", name, cpu), radix);
      }
    } else if (const Value value = session.evaluate(text); value.is_per_cpu()) {
      add_addresses(table, session, value);
    } else {
      shown = value;
      faults = add_value(table, session, value,
                         value.address() && value.expression() == text ? text + " = " : "", radix);
    }
    if (faults > 0 && faults == table.rows.size()) fail_where_unreadable(session, shown);
    add_unreadable(report, faults);
    return report;
  });
}

}  // namespace

Command make_p() {
  std::vector<OptionSpec> options = {{"-x", "", "numbers in hexadecimal"}, {"-d", "", "pointers in decimal"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"p",
          "print the value of an expression, as C writes it",
          "kvista -c vmcore p init_task.comm\n  a member of a global variable; also casts, operators, "
          "runqueues:0, "
          "container_of(...)",
          {{"EXPRESSION",
            "with the kernel's variables, functions and enumerators; NAME:CPU is one CPU's variable",
            true,
            {},
            true}},
          options,
          {value_spec()},
          run};
}

}  // namespace kvista::cli
