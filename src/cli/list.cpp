// kvista list: what hangs in a list.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"
#include "kernel/walk.h"

namespace kvista::cli {
namespace {

using kernel::Session;

// What is shown of each entry: with -s the struct, or members of it.
Gaps add_entry(Table& table, const Session& session, VirtAddr entry, const Invocation& invocation) {
  table.rows.push_back({fmt::format("{:x}", entry.value), Cell{}, Cell{}, Cell{}, Hex{entry.value}, Cell{}});
  Gaps gaps;
  const kernel::ValueStyle style = value_style(invocation);
  for (const std::string& text : invocation.values("-s")) {
    const MemberList wanted = parse_members(text);
    const Value object = session.object(kernel::type_by_word(session, wanted.name), entry);
    gaps += wanted.members.empty()
                ? add_value(table, session, object, object.type().declaration() + " ", style)
                : add_members(table, session, object, "  ", wanted.members, style);
  }
  return gaps;
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    Report report{"list", {{value_spec(), {}}}, {}, ExitStatus::complete};
    Table& table = report.tables[0];
    const auto offset_text = invocation.value("-o");
    const uint64_t offset = offset_text ? link_offset(session, *offset_text) : 0;
    const VirtAddr start = address_of(session, invocation.operands[0]);
    Gaps gaps;
    std::string fault;
    if (invocation.flag("-H")) {
      fault = kernel::walk_list(session, start, [&](VirtAddr node) {
        gaps += add_entry(table, session, node - offset, invocation);
        return true;
      });
    } else {
      const auto end = invocation.value("-e");
      const bool is_inner = invocation.flag("-r");
      // The start is an entry itself: with -r the place of its link, else that of its struct.
      const VirtAddr link = is_inner ? start : start + offset;
      const VirtAddr stop = end ? address_of(session, *end) : VirtAddr{};
      bool is_first = true;
      fault = kernel::walk_chain(session, link, {0, VirtAddr{}}, [&](VirtAddr node) {
        if ((!is_first && node == link) || (end && node == stop)) return false;
        is_first = false;
        gaps += add_entry(table, session, node - offset, invocation);
        return true;
      });
      // A list that leads back to where it began has ended.
      if (fault.find(fmt::format("it comes back to {:#x}:", link.value)) != std::string::npos) fault.clear();
    }
    if (table.rows.empty() && fault.empty()) report.warnings.emplace_back("the list is empty");
    if (!fault.empty()) {
      if (table.rows.empty()) throw NotFound(fmt::format("the list at {:#x}: {}", start.value, fault));
      add_missing(report, fmt::format("the list at {:#x}: {}", start.value, fault));
    }
    add_gaps(report, gaps);
    return report;
  });
}

}  // namespace

Command make_list() {
  std::vector<OptionSpec> options = {
      {"-H", "", "START is the list's head, which is no entry"},
      {"-o", "OFFSET", "where in an entry its link is: a number, or STRUCT.MEMBER"},
      {"-s", "STRUCT", "show each entry as this struct; STRUCT.MEMBER,MEMBER shows these members", true},
      {"-e", "END", "stop before this link"},
      {"-r", "", "START is the first entry's link, not the entry"}};
  for (OptionSpec& one : value_options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"list",
          "go through a linked list",
          "kvista -c vmcore list -H modules -o module.list -s module.name\n  the entries of the list that "
          "`modules` is "
          "the head of",
          {{"START", "the list's head with -H, else its first entry: a symbol, an expression, or an address",
            true}},
          options,
          {value_spec()},
          run};
}

}  // namespace kvista::cli
