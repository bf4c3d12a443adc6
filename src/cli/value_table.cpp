#include "cli/value_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "kernel/walk.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::ValueLine;

Row row_of(const ValueLine& line, const std::string& expression) {
  const std::string text = std::string(size_t{2} * line.depth, ' ') + line.text;
  if (line.type.empty()) return {text, Cell{}, Cell{}, Cell{}, Cell{}, Cell{}};
  std::string path = expression;
  if (!line.path.empty()) path += (line.path[0] == '[' ? "" : ".") + line.path;
  return {text, path, line.type, line.value, line.address ? Cell(Hex{line.address->value}) : Cell{}, Cell{}};
}

bool is_hex(const std::string& text) {
  return !text.empty() && text.size() <= 16 &&
         text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
}

// Where the kernel's symbols are not known, nothing is one.
bool is_symbol(const kernel::Session& session, const std::string& text) {
  try {
    return !session.find_symbols(text).empty();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TableSpec value_spec() {
  return {
      "value",
      "values, each of a member that has no members itself; in text with the lines around them",
      Layout::lines,
      {{"line", "LINE", Type::text, "", "as C would write it", Show::only_text},
       {"expression", "EXPRESSION", Type::text, "", "what it is the value of; null for lines without a value",
        Show::only_json},
       {"type", "TYPE", Type::text, "", "as C declares it", Show::only_json},
       {"value", "VALUE", Type::text, "", "as C would write it", Show::only_json},
       {"address", "ADDRESS", Type::hex, "", "where it is; null for what was worked out", Show::only_json},
       {"index", "INDEX", Type::integer, "", "of an entry that is found by an index", Show::only_json}}};
}

std::vector<OptionSpec> value_options() {
  return {{"-x", "", "numbers in hexadecimal"},
          {"--elements", "N", "show at most N elements of an array; 0: all; default: 200"}};
}

kernel::ValueStyle value_style(const Invocation& invocation) {
  kernel::ValueStyle style;
  if (invocation.flag("-x")) style.radix = kernel::Radix::hexadecimal;
  if (const auto text = invocation.value("--elements")) {
    const auto number = vmcoreinfo::parse_number(*text, false);
    if (!number) throw UsageError(fmt::format("--elements {}: expected a number", *text));
    style.most_elements = *number == 0 ? UINT64_MAX : *number;
  }
  return style;
}

Gaps& Gaps::operator+=(const Gaps& more) {
  faults += more.faults;
  cut += more.cut;
  return *this;
}

Gaps add_value(Table& table, const kernel::Session& session, const Value& value, const std::string& label,
               const kernel::ValueStyle& style) {
  kernel::ValueLines found = kernel::value_lines(session, value, style);
  if (!label.empty() && !found.lines.empty()) found.lines.front().text = label + found.lines.front().text;
  const std::string expression = value.expression();
  for (const ValueLine& line : found.lines) table.rows.push_back(row_of(line, expression));
  return {found.faults, found.cut};
}

Gaps add_members(Table& table, const kernel::Session& session, const Value& value, const std::string& label,
                 const std::vector<std::string>& members, const kernel::ValueStyle& style) {
  Gaps gaps;
  const std::string indent = label.empty() ? "" : "  ";
  for (const std::string& member : members) {
    const size_t first = table.rows.size();
    gaps += add_value(table, session, member_of(value, member), member + " = ", style);
    for (size_t i = first; i < table.rows.size(); ++i)
      table.rows[i][0] = indent + std::get<std::string>(table.rows[i][0]);
  }
  return gaps;
}

void add_line(Table& table, const std::string& text) {
  table.rows.push_back({text, Cell{}, Cell{}, Cell{}, Cell{}, Cell{}});
}

void fail_where_unreadable(const kernel::Session& session, const Value& value) {
  if (!value.address()) return;
  const kernel::Path path{kernel::Path::Step::name, value.expression(), 0, nullptr};
  std::array<std::byte, 1> byte{};
  session.read(*value.address(), byte, &path);
}

void add_gaps(Report& report, const Gaps& gaps) {
  if (gaps.cut > 0)
    report.warnings.push_back(fmt::format(
        "{} shown in part only, where \"...\" stands: ask for a part, or for more --elements",
        gaps.cut == 1 ? "an array or struct is" : fmt::format("{} arrays or structs are", gaps.cut)));
  if (gaps.faults == 0) return;
  report.warnings.push_back(gaps.faults == 1
                                ? "1 value cannot be shown: its line says why"
                                : fmt::format("{} values cannot be shown: their lines say why", gaps.faults));
  report.status = ExitStatus::partial;
}

Value member_of(const Value& value, const std::string& path) {
  Value at = value;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('.', start), path.size());
    std::string name = path.substr(start, end - start);
    const size_t bracket = name.find('[');
    std::string index = bracket == std::string::npos ? "" : name.substr(bracket);
    at = at[std::string_view(name).substr(0, bracket)];
    for (size_t close = index.find(']'); !index.empty(); close = index.find(']')) {
      const auto number = close == std::string::npos
                              ? std::nullopt
                              : vmcoreinfo::parse_number(index.substr(1, close - 1), false);
      if (!number) throw UsageError(fmt::format("{}: expected a number in brackets", path));
      at = at[*number];
      index.erase(0, close + 1);
    }
    start = end + 1;
  }
  return at;
}

MemberList parse_members(const std::string& text) {
  const size_t dot = text.find('.');
  if (dot == std::string::npos) return {text, {}};
  return {text.substr(0, dot), split_at_commas(text.substr(dot + 1))};
}

uint64_t link_offset(const kernel::Session& session, const std::string& text) {
  if (const auto number = vmcoreinfo::parse_number(text, false)) return *number;
  const MemberList wanted = parse_members(text);
  if (wanted.members.size() != 1)
    throw UsageError(fmt::format("{}: expected a number, or STRUCT.MEMBER", text));
  return kernel::member_offset(kernel::type_by_word(session, wanted.name), wanted.members.front());
}

VirtAddr address_of(const kernel::Session& session, const std::string& text) {
  if (is_hex(text) && !is_symbol(session, text)) return VirtAddr{*vmcoreinfo::parse_number(text, true)};
  const Value value = session.evaluate(text);
  // A struct, an array, a function or what has no type is its place; a number or pointer is what it says.
  const auto type = value.type().resolved();
  const bool is_place = type.is_compound() || type.kind() == type::Kind::array ||
                        type.kind() == type::Kind::function || type.kind() == type::Kind::nothing;
  if (is_place && value.address()) return *value.address();
  return VirtAddr{value.number()};
}

}  // namespace kvista::cli
