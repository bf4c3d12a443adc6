// kvista p: what an expression is worth.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"
#include "syntax/lexer.h"

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

kernel::ValueStyle style_of(const Invocation& invocation) {
  kernel::ValueStyle style = value_style(invocation);
  if (invocation.flag("-d")) style.radix = kernel::Radix::decimal;
  return style;
}

std::string_view trimmed(std::string_view text) {
  constexpr const char* kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

// "a; b": several expressions. A semicolon in quotes is a character.
std::vector<std::string> split_expressions(std::string_view text) {
  std::vector<std::string> parts;
  bool is_quoted = false;
  size_t start = 0;
  for (size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size() && text[at] == '\'') is_quoted = !is_quoted;
    if (at < text.size() && (text[at] != ';' || is_quoted)) continue;
    if (const auto one = trimmed(text.substr(start, at - start)); !one.empty()) parts.emplace_back(one);
    start = at + 1;
  }
  if (parts.empty()) throw UsageError("p: an expression is needed");
  return parts;
}

// One call's expressions: what was shown of them.
class Printer {
 public:
  Printer(const Session& session, const Invocation& invocation, Table& table, bool is_alone)
      : session_(session), style_(style_of(invocation)), table_(table), is_alone_(is_alone) {}

  void add(const std::string& text) {
    if (const std::string name = all_cpus_of(text); !name.empty()) {
      const Value variable = session_.evaluate(name);
      for (const unsigned cpu : session_.present_cpus())
        add_value(variable.per_cpu(cpu), fmt::format("per_cpu({}, {}) = ", name, cpu));
    } else if (const Value value = session_.evaluate(text); value.is_per_cpu()) {
      add_addresses(table_, session_, value);
    } else {
      const size_t first = table_.rows.size();
      const bool is_named = !is_alone_ || (value.address() && value.expression() == text);
      add_value(value, is_named ? text + " = " : "");
      if (!value.address()) table_.rows[first][1] = text;
    }
  }

  Gaps gaps;
  Value last;

 private:
  void add_value(const Value& value, const std::string& label) {
    last = value;
    gaps += cli::add_value(table_, session_, value, label, style_);
  }

  const Session& session_;
  kernel::ValueStyle style_;
  Table& table_;
  bool is_alone_;
};

// What makes no sense, or is not there, leaves the others to be shown.
void add_each(const std::vector<std::string>& expressions, Printer& printer, Report& report) {
  size_t failed = 0;
  for (const std::string& text : expressions) try {
      printer.add(text);
    } catch (const syntax::SyntaxError&) {
      throw;
    } catch (const Error& error) {
      if (++failed == expressions.size()) throw;
      add_missing(report, fmt::format("{}: {}", text, error.what()));
    }
}

Report run(const Invocation& invocation) {
  const std::vector<std::string> expressions = split_expressions(joined(invocation.operands));
  return with_session(invocation, [&](const Session& session) {
    Report report{"p", {{value_spec(), {}}}, {}, ExitStatus::complete};
    Table& table = report.tables[0];
    Printer printer(session, invocation, table, expressions.size() == 1);
    add_each(expressions, printer, report);
    const size_t faults = printer.gaps.faults;
    if (faults > 0 && faults == table.rows.size()) fail_where_unreadable(session, printer.last);
    add_gaps(report, printer.gaps);
    return report;
  });
}

}  // namespace

Command make_p() {
  std::vector<OptionSpec> options = value_options();
  options.push_back({"-d", "", "pointers in decimal"});
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {
      "p",
      "print the value of an expression, as C writes it",
      "kvista -c vmcore p init_task.comm\n  a member of a global variable; also casts, operators, "
      "runqueues:0, "
      "container_of(...)",
      {{"EXPRESSION",
        "with the kernel's variables, functions and enumerators; NAME:CPU is one CPU's variable, NAME:a that "
        "of each; several with ; between them",
        true,
        {},
        true}},
      options,
      {value_spec()},
      run};
}

}  // namespace kvista::cli
