// Values as rows: what p, struct, list and tree show.
#pragma once

#include "cli/command.h"
#include "cli/report.h"
#include "kernel/format_value.h"
#include "kernel/session.h"

namespace kvista::cli {

TableSpec value_spec();
/// --elements and -x, as the commands that write values take them.
std::vector<OptionSpec> value_options();
/// What these options say. Throws UsageError.
kernel::ValueStyle value_style(const Invocation& invocation);

/// What is missing from the values that were added.
struct Gaps {
  size_t faults = 0;  ///< cannot be read
  size_t cut = 0;     ///< longer than shown

  Gaps& operator+=(const Gaps& more);
};
/// Adds a value, in text as "LABEL = value", or the value alone.
Gaps add_value(Table& table, const kernel::Session& session, const Value& value, const std::string& label,
               const kernel::ValueStyle& style = {});
/// Adds some members of a struct only, in its braces.
Gaps add_members(Table& table, const kernel::Session& session, const Value& value, const std::string& label,
                 const std::vector<std::string>& members, const kernel::ValueStyle& style = {});
/// Adds a line of text that is no value.
void add_line(Table& table, const std::string& text);
/// Throws FaultError, which says why, where the first byte of a value cannot be read.
void fail_where_unreadable(const kernel::Session& session, const Value& value);
/// Says in the report what is missing: what cannot be read makes it partial.
void add_gaps(Report& report, const Gaps& gaps);
/// "tasks.next" of a value, through its members and pointers; "[3]" too.
Value member_of(const Value& value, const std::string& path);

/// "NAME.MEMBER,MEMBER" as commands take it.
struct MemberList {
  std::string name;
  std::vector<std::string> members;
};
MemberList parse_members(const std::string& text);
/// Where in an entry its link is, in bytes: "task_struct.tasks", or a number. Throws UsageError, NotFound.
uint64_t link_offset(const kernel::Session& session, const std::string& text);

/// An operand that is a place in memory: an expression, or as crash's users write it a number in hexadecimal
/// without 0x. Throws UsageError.
VirtAddr address_of(const kernel::Session& session, const std::string& text);

}  // namespace kvista::cli
