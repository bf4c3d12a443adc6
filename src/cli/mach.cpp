// kvista mach: the machine that the kernel ran on.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/stack_tables.h"
#include "kernel/firmware.h"
#include "kernel/tasks.h"
#include "unwind/kernel_stacks.h"

namespace kvista::cli {
namespace {

using kernel::Session;
using machine::FactId;

constexpr size_t kMachine = 0;
constexpr size_t kStacks = 1;
constexpr size_t kMap = 2;

TableSpec machine_spec() {
  return {"machine",
          "one row: the machine",
          Layout::pairs,
          {{"machine", "MACHINE TYPE", Type::text, "", "as uname -m"},
           {"memory_bytes", "MEMORY SIZE", Type::integer, "bytes", "that the kernel manages"},
           {"cpus", "CPUS", Type::integer, "", "that run"},
           {"khz", "PROCESSOR SPEED", Type::integer, "kHz", "of the time stamp counter's clock"},
           {"page_size", "PAGE SIZE", Type::integer, "bytes", "of a page"},
           {"page_offset", "KERNEL VIRTUAL BASE", Type::hex, "", "start of the direct map"},
           {"vmalloc", "KERNEL VMALLOC BASE", Type::hex, "", "start of the vmalloc area"},
           {"vmemmap", "KERNEL VMEMMAP BASE", Type::hex, "", "start of the array of struct page"},
           {"kernel", "KERNEL IMAGE BASE", Type::hex, "", "where the kernel's image is: _text"},
           {"modules", "KERNEL MODULES BASE", Type::hex, "", "start of the area for modules"},
           {"stack_size", "KERNEL STACK SIZE", Type::integer, "bytes", "of a task's stack"}}};
}

TableSpec stacks_spec() {
  return {
      "stacks",
      "the stacks of each CPU, for interrupts, for exceptions that have their own, and to enter the kernel",
      Layout::grid,
      {{"cpu", "CPU", Type::integer, "", "whose it is"},
       {"stack", "STACK", Type::text, "", kCpuStackNames},
       {"first", "FIRST", Type::hex, "", "its lowest address"},
       {"bytes", "SIZE", Type::integer, "bytes", "how large it is"}}};
}

TableSpec map_spec() {
  return {"map",
          "with -m: the firmware's map of memory",
          Layout::grid,
          {{"first", "FIRST", Type::hex, "", "physical address"},
           {"last", "LAST", Type::hex, "", "physical address of its last byte"},
           {"type", "TYPE", Type::text, "", "as the kernel calls it"}}};
}

// A cell of what can be read, else empty, and it is said why.
template <typename Ask>
Cell ask(Report& report, const char* what, Ask read) {
  try {
    return read();
  } catch (const Error& error) {
    add_missing(report, fmt::format("{} not known: {}", what, error.what()));
    return {};
  }
}

Cell fact(const Session& session, FactId id) {
  return session.with_machine([&](machine::Machine& machine) -> Cell {
    const auto& value = machine.fact(id).value;
    if (!value) return {};
    if (const auto* range = std::get_if<VirtRange>(&*value)) return Hex{range->first.value};
    const uint64_t number = std::get<uint64_t>(*value);
    return id == FactId::page_offset ? Cell(Hex{number}) : Cell(number);
  });
}

void add_machine(Report& report, const Session& session, const unwind::KernelStacks& stacks) {
  const auto name = [&]() -> Cell { return session.own_global("init_uts_ns")["name"]["machine"].text(); };
  const auto memory = [&]() -> Cell { return kernel::total_memory(session); };
  const auto speed = [&]() -> Cell { return session.own_global("cpu_khz").number(); };
  Row row = {ask(report, "the machine's type is", name), ask(report, "the size of memory is", memory)};
  row.push_back(fact(session, FactId::cpus));
  row.push_back(ask(report, "the processor's speed is", speed));
  for (const FactId id : {FactId::page_size, FactId::page_offset, FactId::vmalloc, FactId::vmemmap,
                          FactId::kernel_image, FactId::modules})
    row.push_back(fact(session, id));
  row.emplace_back(stacks.task_stack_size());
  report.tables[kMachine].rows.push_back(std::move(row));
}

void add_stacks(Report& report, const Session& session, unwind::KernelStacks& stacks) {
  for (const unsigned cpu : session.present_cpus())
    for (const unwind::Stack& stack : stacks.of_cpu(cpu))
      report.tables[kStacks].rows.push_back(
          {uint64_t{cpu}, stack.name, Hex{stack.first.value}, stack.end - stack.first});
}

void add_map(Report& report, const Session& session) {
  for (const kernel::FirmwareRange& range : kernel::firmware_map(session)) {
    if (range.bytes == 0) continue;
    report.tables[kMap].rows.push_back(
        {Hex{range.first.value}, Hex{range.first.value + (range.bytes - 1)}, range.type});
  }
}

Report run(const Invocation& invocation) {
  return with_session(invocation, [&](const Session& session) {
    Report report{
        "mach", {{machine_spec(), {}}, {stacks_spec(), {}}, {map_spec(), {}}}, {}, ExitStatus::complete};
    if (invocation.flag("-m")) {
      add_map(report, session);
      return report;
    }
    unwind::KernelStacks stacks(session);
    add_machine(report, session, stacks);
    add_stacks(report, session, stacks);
    return report;
  });
}

}  // namespace

Command make_mach() {
  std::vector<OptionSpec> options = {{"-m", "", "show the firmware's map of memory instead"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"mach",
          "show the machine: memory, processors, areas of the address space, stacks of each CPU",
          "kvista -c vmcore mach -m\n  what the firmware said of memory; kvista info says where each fact "
          "comes from",
          {},
          options,
          {machine_spec(), stacks_spec(), map_spec()},
          run};
}

}  // namespace kvista::cli
