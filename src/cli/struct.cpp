// kvista struct, union and enum: types as the kernel's own BTF has them, and values of them.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/layout_table.h"
#include "cli/value_table.h"
#include "kernel/walk.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using type::Kind;

Report report_of(const char* command) {
  return {command, {{layout_spec(), {}}, {value_spec(), {}}}, {}, ExitStatus::complete};
}

// A value of the type in memory: at an address, or with -l where a member of it is.
VirtAddr place_of(const Session& session, const type::Type& found, const Invocation& invocation) {
  const VirtAddr at = address_of(session, invocation.operands[1]);
  const auto member = invocation.value("-l");
  if (!member) return at;
  const size_t dot = member->find('.');
  return at - kernel::member_offset(found, dot == std::string::npos ? *member : member->substr(dot + 1));
}

void add_values(Report& report, const Session& session, const type::Type& found, const MemberList& wanted,
                const Invocation& invocation) {
  const VirtAddr first = place_of(session, found, invocation);
  constexpr uint64_t kMost = 100'000;
  uint64_t count = 1;
  if (invocation.operands.size() > 2) {
    const auto number = vmcoreinfo::parse_number(invocation.operands[2], false);
    if (!number || *number == 0 || *number > kMost)
      throw UsageError(
          fmt::format("{}: expected how many, found {}", report.command, invocation.operands[2]));
    count = *number;
  }
  const kernel::ValueStyle style = value_style(invocation);
  Table& table = report.tables[1];
  Gaps gaps;
  size_t shown = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const Value value = session.object(found, first + i * found.size());
    const size_t before = table.rows.size();
    gaps += wanted.members.empty() ? add_value(table, session, value, found.declaration() + " ", style)
                                   : add_members(table, session, value, "  ", wanted.members, style);
    for (size_t row = before; row < table.rows.size(); ++row)
      shown += std::holds_alternative<std::monostate>(table.rows[row][2]) ? 0 : 1;
  }
  if (gaps.faults > 0 && gaps.faults == shown) fail_where_unreadable(session, session.object(found, first));
  add_gaps(report, gaps);
}

void add_types(Report& report, const type::Type& found, const MemberList& wanted,
               std::optional<VirtAddr> at = std::nullopt) {
  Table& table = report.tables[0];
  if (wanted.members.empty()) return add_layout(found, report, at);
  table.rows.push_back(plain_row("open", found.declaration() + " {"));
  for (const std::string& member : wanted.members) add_member(found, member, table, at);
  table.rows.push_back(plain_row("close", "}"));
}

Report run_layout(const char* command, Kind kind, const Invocation& invocation) {
  const MemberList wanted = parse_members(invocation.operands.front());
  if (invocation.flag("-o") && invocation.operands.size() > 2)
    throw UsageError(
        fmt::format("{} -o shows where members of one are: COUNT makes no sense with it", command));
  return with_session(invocation, [&](const Session& session) {
    const kernel::TypeNames& types = session.types();
    if (types.own().empty()) throw NotFound(types.why_none());
    const auto found = types.find(wanted.name, kind);
    if (found.empty()) types.fail_missing(fmt::format("{} ", command), wanted.name);
    Report report = report_of(command);
    if (invocation.operands.size() == 2 && invocation.flag("-o"))
      add_types(report, found.front().type, wanted, place_of(session, found.front().type, invocation));
    else if (invocation.operands.size() > 1)
      add_values(report, session, found.front().type, wanted, invocation);
    else
      for (const kernel::FoundType& one : found) add_types(report, one.type, wanted);
    if (types.is_damaged()) report.status = ExitStatus::partial;
    return report;
  });
}

Command make_layout(const char* name, Kind kind, const char* summary, const char* example) {
  std::vector<OptionSpec> options = {
      {"-o", "", "show where the members are, and not their values: with ADDRESS the address of each"},
      {"-l", "MEMBER", "ADDRESS is where this member is: STRUCT.MEMBER or MEMBER"}};
  for (OptionSpec& one : value_options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {name,
          summary,
          example,
          {{"NAME", "the type's name; NAME.MEMBER,MEMBER shows these members only", true},
           {"ADDRESS", "show the value there: a symbol, an expression, or an address in hexadecimal"},
           {"COUNT", "how many, one behind the other"}},
          options,
          {layout_spec(), value_spec()},
          [name, kind](const Invocation& invocation) { return run_layout(name, kind, invocation); }};
}

}  // namespace

Command make_struct() {
  return make_layout("struct", Kind::structure, "show a struct of the kernel: members, offsets, sizes, holes",
                     "kvista -c vmcore struct task_struct.pid,comm\n  where a task's number and name are");
}

Command make_union() {
  return make_layout("union", Kind::union_type, "show a union of the kernel",
                     "kvista -c vmcore union sigval\n  what comes with a signal");
}

Command make_enum() {
  return make_layout("enum", Kind::enumeration, "show the values of an enumeration of the kernel",
                     "kvista -c vmcore enum zone_type\n  the numbers of the memory zones");
}

}  // namespace kvista::cli
