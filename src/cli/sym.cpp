// kvista sym: the kernel's and the modules' symbols, by name and by address.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using symbol::Symbol;

TableSpec symbols_spec() {
  return {"symbols",
          "symbols, with the offset of the address that was asked for",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "address, type, name, module, and with debuginfo file and line",
            Show::only_text},
           {"address", "ADDRESS", Type::hex, "", "of the symbol", Show::only_json},
           {"type", "TYPE", Type::text, "", "a letter as nm(1) has it: t text, d data, b bss ...",
            Show::only_json},
           {"name", "NAME", Type::text, "", "its name", Show::only_json},
           {"module", "MODULE", Type::text, "", "null for the kernel's own", Show::only_json},
           {"offset", "OFFSET", Type::integer, "bytes",
            "how far the address that was asked for is behind it; null where a name was asked for",
            Show::only_json},
           {"source_file", "FILE", Type::text, "",
            "what the code at the address that was asked for was made from; null without debuginfo, and for "
            "data",
            Show::only_json},
           {"source_line", "LINE", Type::integer, "", "the line in source_file", Show::only_json}}};
}

using SourceLine = std::optional<debuginfo::SourceLine>;

Row row_of(const Symbol& symbol, std::optional<uint64_t> offset, const SourceLine& source = {}) {
  std::string line =
      fmt::format("{:x} ({}) {}", symbol.address.value + offset.value_or(0), symbol.type, symbol.name);
  if (offset && *offset != 0) line += fmt::format("+{:#x}", *offset);
  if (!symbol.module.empty()) line += fmt::format(" [{}]", symbol.module);
  if (source) line += fmt::format(" {}:{}", source->file, source->line);
  return {line,
          Hex{symbol.address.value},
          std::string(1, symbol.type),
          symbol.name,
          symbol.module.empty() ? Cell{} : Cell(symbol.module),
          offset ? Cell(*offset) : Cell{},
          source ? Cell(source->file) : Cell{},
          source ? Cell(uint64_t{source->line}) : Cell{}};
}

void for_each_symbol(const Session& session, const std::function<void(const Symbol&)>& visit) {
  session.symbols().for_each(visit);
  session.module_symbols().for_each(visit);
}

void add_matching(const Session& session, const std::string& part, Table& table) {
  for_each_symbol(session, [&](const Symbol& symbol) {
    if (symbol.name.find(part) != std::string::npos) table.rows.push_back(row_of(symbol, std::nullopt));
  });
}

// A name, an address, or an expression that gives one.
void add_found(const Session& session, const std::string& text, Table& table) {
  const auto by_name = session.find_symbols(text);
  for (const Symbol& one : by_name)
    table.rows.push_back(row_of(one, std::nullopt, session.line_of(one.address)));
  if (!by_name.empty()) return;
  const bool is_name =
      text.find_first_of("0123456789") != 0 && text.find_first_of("+-&( ") == std::string::npos;
  std::optional<VirtAddr> address;
  try {
    address = address_of(session, text);
  } catch (const NotFound&) {
    if (!is_name) throw;
  }
  if (!address)
    throw NotFound(
        fmt::format("no symbol is called {}: kvista sym -q {} shows those that contain it", text, text));
  const auto near = session.nearest_symbol(*address);
  if (!near)
    throw NotFound(fmt::format("{:#x} belongs to no symbol of the kernel or a module", address->value));
  table.rows.push_back(row_of(near->symbol, near->offset, session.line_of(*address)));
}

Report run(const Invocation& invocation) {
  const bool all = invocation.flag("-l");
  const auto part = invocation.value("-q");
  const auto module = invocation.value("-m");
  if (!all && !part && !module && invocation.operands.empty())
    throw UsageError("sym: expected a name or an address, or -l for all symbols");
  return with_session(invocation, [&](const Session& session) {
    Report report{"sym", {{symbols_spec(), {}}}, {}, ExitStatus::complete};
    Table& table = report.tables[0];
    if (all)
      for_each_symbol(session,
                      [&](const Symbol& symbol) { table.rows.push_back(row_of(symbol, std::nullopt)); });
    if (part) add_matching(session, *part, table);
    if (module)
      session.module_symbols().for_each([&](const Symbol& symbol) {
        if (symbol.module == *module) table.rows.push_back(row_of(symbol, std::nullopt));
      });
    for (const std::string& operand : invocation.operands) try {
        add_found(session, operand, table);
      } catch (const NotFound& error) {
        if (invocation.operands.size() == 1) throw;
        add_missing(report, error.what());
      }
    if (table.rows.empty()) throw NotFound("no symbol was found");
    // Of a list something is missing then; what was asked for by itself is there.
    const bool is_damaged = session.symbols().is_damaged() || !session.module_symbols_fault().empty();
    if ((all || part || module) && is_damaged) report.status = ExitStatus::partial;
    return report;
  });
}

}  // namespace

Command make_sym() {
  return {"sym",
          "look up symbols of the kernel and its modules, by name or address",
          "kvista -c vmcore sym schedule\n  where the function is; an address gives the symbol that it "
          "belongs to",
          {{"NAME", "a symbol's name, an address in hexadecimal, or an expression", false, {}, true}},
          [] {
            auto options = machine_options();
            options.insert(options.begin(), {{"-l", "", "list all symbols"},
                                             {"-q", "PART", "list the symbols whose names contain PART"},
                                             {"-m", "MODULE", "list the symbols of this module"}});
            return options;
          }(),
          {symbols_spec()},
          run};
}

}  // namespace kvista::cli
