// kvista struct, union, enum and whatis: types as the kernel's own BTF has them.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/command.h"
#include "type/kernel_btf.h"
#include "type/layout.h"
#include "type/module_btf.h"

namespace kvista::cli {
namespace {

using machine::Machine;
using type::BtfTypes;
using type::Kind;
using type::LayoutKind;
using type::LayoutRow;

constexpr unsigned kBits = 8;

TableSpec layout_spec() {
  return {
      "layout",
      "how the type lies in memory, line by line",
      Layout::lines,
      {{"line", "LINE", Type::text, "", "as C declares it, with offset and size", Show::only_text},
       {"kind", "KIND", Type::text, "",
        "open, member, hole, padding or close (the end of what was opened), or enumerator", Show::only_json},
       {"depth", "DEPTH", Type::integer, "", "how many types it is within", Show::only_json},
       {"declaration", "DECLARATION", Type::text, "", "as in C", Show::only_json},
       {"offset", "OFFSET", Type::integer, "bytes",
        "from the start of the type; of a bit-field its integer's", Show::only_json},
       {"bits", "BITS", Type::integer, "bits", "its size", Show::only_json},
       {"first_bit", "FIRST BIT", Type::integer, "", "of a bit-field, in its integer", Show::only_json},
       {"value", "VALUE", Type::integer, "", "of an enumerator", Show::only_json}}};
}

const char* name_of(LayoutKind kind) {
  switch (kind) {
    case LayoutKind::open:
      return "open";
    case LayoutKind::member:
      return "member";
    case LayoutKind::hole:
      return "hole";
    case LayoutKind::padding:
      return "padding";
    case LayoutKind::close:
      return "close";
  }
  return "";
}

std::string size_text(uint64_t bits) {
  const bool whole = bits % kBits == 0;
  const uint64_t count = whole ? bits / kBits : bits;
  return fmt::format("{} {}{}", count, whole ? "byte" : "bit", count == 1 ? "" : "s");
}

std::string line_of(const LayoutRow& row) {
  constexpr size_t kWidth = 56;
  const std::string indent(size_t{4} * row.depth, ' ');
  switch (row.kind) {
    case LayoutKind::open:
      return indent + row.declaration;
    case LayoutKind::hole:
      return fmt::format("{}/* {}: {} unused */", indent, *row.offset, size_text(row.bits));
    case LayoutKind::padding:
      return fmt::format("{}/* {}: {} of padding */", indent, *row.offset, size_text(row.bits));
    default:
      break;
  }
  if (row.depth == 0) return fmt::format("{}; /* size: {} */", row.declaration, row.bits / kBits);
  const std::string place = row.bit
                                ? fmt::format("{:>5}:{:2} {:>5}", *row.offset, *row.bit, size_text(row.bits))
                                : fmt::format("{:>5} {:>5}", *row.offset, row.bits / kBits);
  return fmt::format("{:<{}} /* {} */", indent + row.declaration + ";", kWidth, place);
}

Row cells_of(const LayoutRow& row) {
  const bool is_open = row.kind == LayoutKind::open;
  return {line_of(row),
          std::string(name_of(row.kind)),
          uint64_t{row.depth},
          row.declaration.empty() ? Cell{} : Cell(row.declaration),
          row.offset ? Cell(*row.offset) : Cell{},
          is_open ? Cell{} : Cell(row.bits),
          row.bit ? Cell(*row.bit) : Cell{},
          Cell{}};
}

// A line that is no part of a layout.
Row plain_row(const std::string& kind, const std::string& text) {
  return {text, kind, uint64_t{0}, text, Cell{}, Cell{}, Cell{}, Cell{}};
}

Cell enumerator_value(const type::Enumerator& one, bool is_signed) {
  return is_signed ? Cell(static_cast<int64_t>(one.value)) : Cell(one.value);
}

void add_enumeration(const type::Type& found, Table& table) {
  const bool is_signed = found.is_signed();
  table.rows.push_back(plain_row("open", found.declaration() + " {"));
  for (const type::Enumerator& one : found.enumerators()) {
    const Cell value = enumerator_value(one, is_signed);
    table.rows.push_back({fmt::format("    {} = {},", one.name, to_text(value)), std::string("enumerator"),
                          uint64_t{1}, std::string(one.name), Cell{}, Cell{}, Cell{}, value});
  }
  table.rows.push_back(plain_row("close", fmt::format("}}; /* size: {} */", found.size())));
}

void add_layout(const type::Type& found, Table& table) {
  if (found.kind() == Kind::enumeration) return add_enumeration(found, table);
  for (const LayoutRow& row : type::layout_of(found)) table.rows.push_back(cells_of(row));
}

// One member of those that were asked for, wherever it is.
void add_member(const type::Type& found, const std::string& name, Table& table) {
  const auto member = found.find_member(name);
  if (!member) throw NotFound(fmt::format("{} has no member {}", found.declaration(), name));
  const type::Member own{name, member->type, member->bit_offset, member->bit_size};
  table.rows.push_back(cells_of(type::member_row(own, own.bit_offset, 1)));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

struct Wanted {
  std::string name;
  std::vector<std::string> members;
};
Wanted parse(const std::string& text) {
  const size_t dot = text.find('.');
  if (dot == std::string::npos) return {text, {}};
  return {text.substr(0, dot), split(text.substr(dot + 1))};
}

std::unique_ptr<BtfTypes> types_of(Machine& machine) {
  try {
    return type::read_kernel_types(machine);
  } catch (const Error& error) {
    throw ExplainedError(error, machine);
  }
}

Report report_of(const char* command, const Machine& machine, const BtfTypes& types) {
  Report report{command, {{layout_spec(), {}}}, machine.warnings(), ExitStatus::complete};
  if (!types.btf().damage().empty()) {
    report.warnings.push_back(types.btf().damage());
    report.status = ExitStatus::partial;
  }
  return report;
}

Report run_layout(const char* command, Kind kind, const Invocation& invocation) {
  const Wanted wanted = parse(invocation.operands.front());
  const auto machine = open_machine(invocation, image_paths(invocation, std::nullopt), false);
  const auto types = types_of(*machine);
  auto found = types->find(wanted.name, kind);
  type::AllModuleTypes modules;
  if (found.empty()) {
    modules = type::read_module_types(*machine, *types);
    for (const type::ModuleTypes& one : modules.modules)
      for (const type::Type& own : one.types->find(wanted.name, kind)) found.push_back(own);
  }
  if (found.empty())
    throw NotFound(fmt::format("{}: the types (BTF) of the kernel and of {} modules have no {} {}{}",
                               machine->image().traits().path, modules.modules.size(), command, wanted.name,
                               modules.fault.empty() ? "" : "; " + modules.fault));
  Report report = report_of(command, *machine, *types);
  for (const type::Type& one : found) {
    if (!wanted.members.empty()) report.tables[0].rows.push_back(plain_row("open", one.declaration() + " {"));
    for (const std::string& member : wanted.members) add_member(one, member, report.tables[0]);
    if (!wanted.members.empty())
      report.tables[0].rows.push_back(plain_row("close", "}"));
    else
      add_layout(one, report.tables[0]);
  }
  return report;
}

// Whatever has the name: types, functions, per-CPU variables and enumerators.
void add_all(const BtfTypes& types, const std::string& name, Table& table) {
  for (const Kind kind : {Kind::structure, Kind::union_type, Kind::enumeration})
    for (const type::Type& found : types.find(name, kind)) add_layout(found, table);
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

Report run_whatis(const Invocation& invocation) {
  const std::string& name = invocation.operands.front();
  const auto machine = open_machine(invocation, image_paths(invocation, std::nullopt), false);
  const auto types = types_of(*machine);
  Report report = report_of("whatis", *machine, *types);
  add_all(*types, name, report.tables[0]);
  if (report.tables[0].rows.empty())
    throw NotFound(
        fmt::format("{}: the kernel's types (BTF) have nothing called {}: no type, function, per-CPU "
                    "variable or enumerator",
                    machine->image().traits().path, name));
  return report;
}

Command make_layout(const char* name, Kind kind, const char* summary, const char* example) {
  return {name,
          summary,
          example,
          {{"NAME", "the type's name; NAME.MEMBER,MEMBER shows these members only", true}},
          machine_options(),
          {layout_spec()},
          [name, kind](const Invocation& invocation) { return run_layout(name, kind, invocation); }};
}

}  // namespace

Command make_struct() {
  return make_layout("struct", Kind::structure, "show a struct of the kernel: members, offsets, sizes, holes",
                     "kvista -c vmcore struct task_struct.pid,comm\n  where a task's number and name are");
}

Command make_union() {
  return make_layout("union", Kind::union_type, "show a union of the kernel",
                     "kvista -c vmcore union thread_union\n  what a kernel stack begins with");
}

Command make_enum() {
  return make_layout("enum", Kind::enumeration, "show the values of an enumeration of the kernel",
                     "kvista -c vmcore enum zone_type\n  the numbers of the memory zones");
}

Command make_whatis() {
  return {"whatis",
          "show what the kernel's types say of a name",
          "kvista -c vmcore whatis schedule\n  how the function is declared",
          {{"NAME", "of a type, a function, a per-CPU variable or an enumerator", true}},
          machine_options(),
          {layout_spec()},
          run_whatis};
}

}  // namespace kvista::cli
