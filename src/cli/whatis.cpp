// kvista whatis: what the kernel's types say of a name.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/layout_table.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using type::BtfTypes;
using type::Kind;

// Whatever has the name: types, functions, per-CPU variables and enumerators.
void add_all(const BtfTypes& types, const std::string& name, Report& report) {
  Table& table = report.tables.front();
  for (const Kind kind : {Kind::structure, Kind::union_type, Kind::enumeration})
    for (const type::Type& found : types.find(name, kind)) add_layout(found, report);
  for (const type::Type& found : types.find(name, Kind::type_definition))
    table.rows.push_back(plain_row("typedef", fmt::format("typedef {};", found.target().declaration(name))));
  if (const auto found = types.function(name))
    table.rows.push_back(plain_row("function", found->declaration(name) + ";"));
  if (const auto found = types.variable(name))
    table.rows.push_back(plain_row("per-CPU variable", found->declaration(name) + ";"));
  if (const auto value = types.enumerator(name)) {
    Row row = plain_row("enumerator", fmt::format("{} = {}", name, *value));
    row.back() = *value;
    table.rows.push_back(std::move(row));
  }
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

Report run(const Invocation& invocation) {
  const std::string& name = invocation.operands.front();
  return with_session(invocation, [&](const Session& session) {
    Report report{"whatis", {{layout_spec(), {}}}, {}, ExitStatus::complete};
    const kernel::TypeNames& types = session.types();
    if (types.kernel() == nullptr) throw NotFound(types.why_none());
    Table& table = report.tables[0];
    add_all(*types.kernel(), name, report);
    if (!types.kernel()->btf().damage().empty()) report.status = ExitStatus::partial;
    if (!table.rows.empty()) return report;
    try {
      add_expression(session, name, table);
    } catch (const Error& error) {
      for (const type::ModuleTypes& module : types.modules().modules) add_all(*module.types, name, report);
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
          {{"NAME", "of a type, a function, a variable or an enumerator; or an expression", true}},
          machine_options(),
          {layout_spec()},
          run};
}

}  // namespace kvista::cli
