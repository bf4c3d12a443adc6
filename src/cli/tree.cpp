// kvista tree: what is in a tree.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/value_table.h"
#include "kernel/walk.h"

namespace kvista::cli {
namespace {

using kernel::Session;

// One entry of any tree.
struct Entry {
  uint64_t first = 0;
  uint64_t last = 0;
  bool has_index = false;
  uint64_t value = 0;
};

std::string index_text(const Entry& entry) {
  if (!entry.has_index) return {};
  if (entry.first == entry.last) return fmt::format("index: {:#x}  ", entry.first);
  return fmt::format("index: {:#x}-{:#x}  ", entry.first, entry.last);
}

class TreeView {
 public:
  TreeView(const Session& session, const Invocation& invocation, Table& table)
      : session_(session), invocation_(invocation), table_(table), style_(value_style(invocation)) {}

  void add(const Entry& entry) {
    table_.rows.push_back({fmt::format("{}{:x}", index_text(entry), entry.value), Cell{}, Cell{}, Cell{},
                           Hex{entry.value}, entry.has_index ? Cell(entry.first) : Cell{}});
    for (const std::string& text : invocation_.values("-s")) {
      const MemberList wanted = parse_members(text);
      const Value object =
          session_.object(kernel::type_by_word(session_, wanted.name), VirtAddr{entry.value});
      gaps += wanted.members.empty()
                  ? add_value(table_, session_, object, object.type().declaration() + " ", style_)
                  : add_members(table_, session_, object, "  ", wanted.members, style_);
    }
  }
  kernel::VisitEntry visitor() {
    return [this](uint64_t first, uint64_t last, uint64_t value) {
      add({first, last, true, value});
      return true;
    };
  }

  Gaps gaps;

 private:
  const Session& session_;
  const Invocation& invocation_;
  Table& table_;
  kernel::ValueStyle style_;
};

uint64_t word_at(const Session& session, VirtAddr at) {
  return session.read_number(at, session.word_size(), nullptr);
}

// Where a root's pointer to the first node is, by the struct's own layout.
uint64_t root_of(const Session& session, VirtAddr at, const char* name, const char* member) {
  return word_at(session, at + kernel::member_offset(kernel::type_by_word(session, name), member));
}

std::string walk(const Session& session, const Invocation& invocation, VirtAddr root, TreeView& view) {
  const std::string kind = invocation.value("-t").value_or("rbtree");
  const bool is_node = invocation.flag("-N");
  if (kind == "rbtree") {
    const auto text = invocation.value("-o");
    const uint64_t offset = text ? link_offset(session, *text) : 0;
    const VirtAddr top = is_node ? root : VirtAddr{word_at(session, root)};
    return kernel::walk_tree(session, top, [&](VirtAddr node) {
      view.add({0, 0, false, (node - offset).value});
      return true;
    });
  }
  if (kind == "maple")
    return kernel::walk_maple(session, root_of(session, root, "maple_tree", "ma_root"), view.visitor());
  const bool has_xarray = session.types().kernel_type("xarray", type::Kind::structure).has_value();
  return kernel::walk_xarray(session,
                             has_xarray ? root_of(session, root, "xarray", "xa_head")
                                        : root_of(session, root, "radix_tree_root", "rnode"),
                             view.visitor());
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    Report report{"tree", {{value_spec(), {}}}, {}, ExitStatus::complete};
    const VirtAddr root = address_of(session, invocation.operands[0]);
    TreeView view(session, invocation, report.tables[0]);
    const std::string fault = walk(session, invocation, root, view);
    if (report.tables[0].rows.empty() && fault.empty()) report.warnings.emplace_back("the tree is empty");
    if (!fault.empty()) {
      if (report.tables[0].rows.empty())
        throw NotFound(fmt::format("the tree at {:#x}: {}", root.value, fault));
      add_missing(report, fmt::format("the tree at {:#x}: {}", root.value, fault));
    }
    add_gaps(report, view.gaps);
    return report;
  });
}

}  // namespace

Command make_tree() {
  std::vector<OptionSpec> options = {
      {"-t",
       "KIND",
       "rbtree (the default), xarray, radix or maple",
       false,
       0,
       {"rbtree", "xarray", "radix", "maple"}},
      {"-N", "", "START is the topmost node of a red-black tree, not its root"},
      {"-o", "OFFSET", "where in an entry of a red-black tree its node is: a number, or STRUCT.MEMBER"},
      {"-s", "STRUCT", "show each entry as this struct; STRUCT.MEMBER,MEMBER shows these members", true}};
  for (OptionSpec& one : value_options()) options.push_back(std::move(one));
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"tree",
          "go through a red-black tree, xarray, radix tree or maple tree",
          "kvista -c vmcore tree -t xarray init_pid_ns.idr.idr_rt -s pid.level\n  the processes' numbers and "
          "their "
          "struct pid",
          {{"ROOT", "a symbol, an expression, or an address", true}},
          options,
          {value_spec()},
          run};
}

}  // namespace kvista::cli
