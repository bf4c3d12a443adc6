// kvista whatis: what the kernel's types say of a name.
#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "cli/command.h"
#include "cli/layout_table.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using type::Kind;

// Whatever has the name: types, functions, per-CPU variables and enumerators.
void add_all(const type::TypeTable& types, const std::string& name, Report& report) {
  Table& table = report.tables.front();
  for (const Kind kind : {Kind::structure, Kind::union_type, Kind::enumeration})
    for (const type::Type& found : types.find(name, kind)) add_layout(found, report);
  for (const type::Type& found : types.find(name, Kind::type_definition))
    table.rows.push_back(plain_row("typedef", fmt::format("typedef {};", found.target().declaration(name))));
  std::set<std::string> prototypes;
  for (const type::Type& found : types.functions(name)) prototypes.insert(found.declaration(name) + ";");
  for (const std::string& text : prototypes) table.rows.push_back(plain_row("function", text));
  if (const auto value = types.enumerator(name)) {
    Row row = plain_row("enumerator", fmt::format("{} = {}", name, *value));
    row.back() = *value;
    table.rows.push_back(std::move(row));
  }
}

void add_btf(const type::BtfTypes& types, const std::string& name, Report& report) {
  add_all(types, name, report);
  if (const auto found = types.variable(name))
    report.tables.front().rows.push_back(plain_row("per-CPU variable", found->declaration(name) + ";"));
}

// Of debuginfo, what BTF has, too, is not shown again.
void add_own(const Session& session, const std::string& name, Report& report) {
  if (session.debuginfo() != nullptr) add_all(session.debuginfo()->types(), name, report);
  if (report.tables.front().rows.empty() && session.types().btf() != nullptr)
    add_btf(*session.types().btf(), name, report);
}

// A variable whose declaration the project ships, or the type of an expression.
void add_expression(const Session& session, const std::string& text, Table& table) {
  const Value value = session.evaluate(text);
  if (value.type().kind() == Kind::nothing)
    throw NotFound(fmt::format("{} is at {:#x}; its type is not known", text,
                               value.address().value_or(VirtAddr{}).value));
  const char* kind = value.is_per_cpu() ? "per-CPU variable" : "variable";
  table.rows.push_back(plain_row(kind, value.type().declaration(text) + ";"));
}

// "rq"; of "struct rq", too, as C writes it.
std::string name_of(const std::vector<std::string>& words) {
  const std::string& first = words.front();
  const bool is_tagged = words.size() == 2 && (first == "struct" || first == "union" || first == "enum");
  return is_tagged ? words.back() : fmt::format("{}", fmt::join(words, " "));
}

Report run(const Invocation& invocation) {
  const std::string name = name_of(invocation.operands);
  return with_session(invocation, [&](const Session& session) {
    Report report{"whatis", {{layout_spec(), {}}}, {}, ExitStatus::complete};
    const kernel::TypeNames& types = session.types();
    if (types.own().empty()) throw NotFound(types.why_none());
    Table& table = report.tables[0];
    add_own(session, name, report);
    if (types.is_damaged()) report.status = ExitStatus::partial;
    if (!table.rows.empty()) return report;
    try {
      add_expression(session, name, table);
    } catch (const Error& error) {
      for (const type::ModuleTypes& module : types.modules().modules) add_btf(*module.types, name, report);
      if (table.rows.empty())
        throw NotFound(fmt::format(
            "the types (BTF) of the kernel and its modules have nothing called {}, and it is no "
            "expression: {}{}",
            name, error.what(), types.modules().fault.empty() ? "" : "; " + types.modules().fault));
    }
    return report;
  });
}

}  // namespace

Command make_whatis() {
  return {"whatis",
          "show what the kernel's types say of a name or an expression",
          "kvista -c vmcore whatis schedule\n  how the function is declared",
          {{"NAME", "of a type, a function, a variable or an enumerator; or an expression", true, {}, true}},
          machine_options(),
          {layout_spec()},
          run};
}

}  // namespace kvista::cli
