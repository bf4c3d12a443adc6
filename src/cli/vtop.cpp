// kvista vtop: how an address is translated, level by level.
#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "cli/command.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

using arch::EntryKind;
using machine::Walk;
using machine::WalkEnd;
using machine::WalkStep;

TableSpec result_spec() {
  return {"result",
          "where the address is",
          Layout::grid,
          {{"virtual", "VIRTUAL", Type::hex, "", "the address asked for"},
           {"physical", "PHYSICAL", Type::hex, "", "null where it is not mapped"},
           {"page_size", "PAGE SIZE", Type::integer, "bytes", "of the page that maps it"},
           {"status", "STATUS", Type::text, "", "mapped, or how the walk ended"},
           {"image", "IN THE IMAGE", Type::text, "", "state of the page in the image"}}};
}

TableSpec walk_spec() {
  return {"walk",
          "the entries read, from the top",
          Layout::grid,
          {{"level", "LEVEL", Type::text, "", "PGD, P4D, PUD, PMD or PTE"},
           {"entry_at", "ENTRY AT", Type::hex, "", "physical address of the entry"},
           {"entry", "ENTRY", Type::hex, "", "the entry's bits"},
           {"leads_to", "LEADS TO", Type::text, "", "what the entry says"},
           {"flags", "FLAGS", Type::text, "", "its flags"}}};
}

std::string leads_to(const WalkStep& step) {
  switch (step.entry.kind) {
    case EntryKind::none:
      return "nothing";
    case EntryKind::table:
      return fmt::format("table {:#x}", step.entry.target.value);
    case EntryKind::leaf:
      return fmt::format("page {:#x}", step.entry.target.value);
    case EntryKind::prot_none:
      return fmt::format("page {:#x}, no access", step.entry.target.value);
    case EntryKind::swap:
      return fmt::format("swap entry: type {}, offset {:#x}", step.entry.swap_type, step.entry.swap_offset);
  }
  return "";
}

std::string state_in_image(const machine::Machine& machine, PhysAddr address) {
  std::array<std::byte, 1> byte{};
  return describe(machine.image().read(address, byte).state);
}

std::string status_of(const Walk& walk) {
  if (walk.end != WalkEnd::table_missing) return describe(walk.end);
  return fmt::format("the page table at {:#x} is {}", walk.missing.value, describe(walk.missing_state));
}

Row result_row(const machine::Machine& machine, VirtAddr address, const Walk& walk) {
  const bool mapped = walk.end == WalkEnd::mapped || walk.end == WalkEnd::prot_none;
  return {Hex{address.value}, mapped ? Cell(Hex{walk.phys.value}) : Cell{},
          mapped ? Cell(walk.page_size) : Cell{}, status_of(walk),
          mapped ? Cell(state_in_image(machine, walk.phys)) : Cell{}};
}

machine::AddressSpace space_of(machine::Machine& machine) {
  try {
    return machine.kernel_space();
  } catch (const Error& error) {
    throw ExplainedError(error, machine);
  }
}

Report translate(machine::Machine& machine, VirtAddr address) {
  const auto space = space_of(machine);
  const Walk walk = space.walk(address);

  Report report{"vtop", {{result_spec(), {result_row(machine, address, walk)}}, {walk_spec(), {}}}, {}, {}};
  for (const WalkStep& step : walk.steps)
    report.tables[1].rows.push_back({space.paging().level_name(step.level), Hex{step.entry_at.value},
                                     Hex{step.raw}, leads_to(step),
                                     space.paging().format->describe_flags(step.raw, step.level)});
  report.warnings = machine.warnings();
  if (walk.end != WalkEnd::mapped && walk.end != WalkEnd::prot_none) {
    report.status = ExitStatus::partial;
    report.warnings.push_back(
        fmt::format("{:#x} has no physical address: {}", address.value, status_of(walk)));
  }
  if (address < machine.architecture().first_address && walk.end != WalkEnd::not_canonical)
    report.warnings.emplace_back(
        "the address is a process's; it was looked up in the kernel's own page tables");
  return report;
}

Report run(const Invocation& invocation) {
  const std::string& text = invocation.operands.front();
  const auto number = vmcoreinfo::parse_number(text, true);
  if (!number) throw UsageError(fmt::format("vtop {}: expected an address in hexadecimal", text));
  const VirtAddr address{*number};
  return with_machine(invocation, [&](machine::Machine& machine) { return translate(machine, address); });
}

}  // namespace

Command make_vtop() {
  return {"vtop",
          "translate a virtual address and show the walk",
          "kvista -c vmcore vtop ffffffff81000000\n  the page-table entries from the top to the page, and "
          "what the image "
          "has there",
          {{"ADDR", "a kernel address, in hexadecimal", true}},
          machine_options(),
          {result_spec(), walk_spec()},
          run};
}

}  // namespace kvista::cli
