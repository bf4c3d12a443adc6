// kvista mod: the modules that are loaded.
#include "cli/command.h"
#include "kernel/modules.h"

namespace kvista::cli {
namespace {

TableSpec modules_spec() {
  return {
      "modules",
      "the modules that are loaded, newest first",
      Layout::grid,
      {{"module", "MODULE", Type::hex, "", "where its struct module is"},
       {"name", "NAME", Type::text, "", "its name"},
       {"base", "BASE", Type::hex, "", "where its code is"},
       {"size", "SIZE", Type::integer, "bytes", "of all its parts"},
       {"state", "STATE", Type::text, "", "Live, Loading or Unloading"},
       {"used", "USED", Type::integer, "", "by how many; null where modules cannot be unloaded"},
       {"taints", "TAINTS", Type::text, "", "letters as in /proc/modules: O out of tree, E unsigned ..."}}};
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [](const kernel::Session& session) {
    Report report{"mod", {{modules_spec(), {}}}, {}, ExitStatus::complete};
    const kernel::Modules& all = session.modules();
    for (const kernel::Module& one : all.modules)
      report.tables[0].rows.push_back(
          {Hex{one.object.address()->value}, one.name, one.base ? Cell(Hex{one.base->value}) : Cell{},
           one.size ? Cell(*one.size) : Cell{}, one.state, one.used ? Cell(*one.used) : Cell{},
           one.taints.empty() ? Cell{} : Cell(one.taints)});
    if (!all.fault.empty()) {
      if (all.modules.empty()) throw NotFound(all.fault);
      add_missing(report, all.fault);
    }
    return report;
  });
}

}  // namespace

Command make_mod() {
  return {"mod",
          "list the modules that are loaded",
          "kvista -c vmcore mod\n  each module with its address, size, users and taints",
          {},
          machine_options(),
          {modules_spec()},
          run};
}

}  // namespace kvista::cli
