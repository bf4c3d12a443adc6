#include "unwind/x86_64/stacks.h"

#include <string_view>
#include <utility>

#include "arch/x86_64/paging.h"
#include "arch/x86_64/qemu_cpu.h"
#include "arch/x86_64/registers.h"
#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "unwind/kernel_memory.h"
#include "unwind/kernel_target.h"
#include "unwind/x86_64/orc_tables.h"
#include "unwind/x86_64/orc_unwinder.h"

namespace kvista::unwind::x86_64 {
namespace {

using arch::x86_64::Reg;
using kernel::Session;

constexpr uint64_t kUsualStackSize = 16384;  // IRQ_STACK_SIZE without KASAN
constexpr uint64_t kMostStackSize = 1 << 20;

uint64_t size_of_struct(const Session& session, std::string_view name, uint64_t otherwise) {
  const auto type = session.types().kernel_type(name, type::Kind::structure);
  const uint64_t size = type ? type->size() : 0;
  return size == 0 || size > kMostStackSize ? otherwise : size;
}

// The top of the IRQ stack: in struct pcpu_hot from 6.2 to 6.14 (d7b6d709a76a, 01c7bc5198e9).
VirtAddr top_of_irq_stack(const Session& session, unsigned cpu) {
  if (session.has_global("hardirq_stack_ptr"))
    return session.own_global("hardirq_stack_ptr").per_cpu(cpu).target();
  if (session.has_global("pcpu_hot"))
    return session.own_global("pcpu_hot").per_cpu(cpu)["hardirq_stack_ptr"].target();
  return session.own_global("irq_stack_ptr").per_cpu(cpu).target();
}

// Each exception that has a stack of its own (IST) is a member "NMI_stack" of struct cea_exception_stacks,
// with guard pages between them.
void add_exception_stacks(const type::Type& all, VirtAddr base, std::vector<Stack>& stacks) {
  constexpr std::string_view kSuffix = "_stack";
  for (const type::Member& member : all.members()) {
    if (!member.name.ends_with(kSuffix)) continue;
    const VirtAddr first = base + member.bit_offset / 8;
    const uint64_t size = member.type.size();
    if (size == 0 || size > kMostStackSize) continue;
    const std::string_view name = member.name.substr(0, member.name.size() - kSuffix.size());
    stacks.push_back({StackKind::exception, std::string(name), first, first + size});
  }
}

// The first place of a task that was never run: ret_from_fork, of its own name in assembly since 3aec4ecb3d1f
// (6.5).
std::optional<VirtAddr> place_of_new_tasks(const Session& session) {
  const auto place = place_of(session, "ret_from_fork_asm");
  return place ? place : place_of(session, "ret_from_fork");
}

// Of this name since 8edd7e37aed8 (5.8); before it was int3.
std::optional<VirtAddr> place_of_breakpoint_entry(const Session& session) {
  const auto place = place_of(session, "asm_exc_int3");
  return place ? place : place_of(session, "int3");
}

class KernelWithOrc final : public OrcTarget {
 public:
  KernelWithOrc(const Session& session, const StackRules& rules)
      : code_(session, rules), tables_(session), breakpoint_entry_(place_of_breakpoint_entry(session)) {}

  std::string read(VirtAddr address, std::span<std::byte> out) const override {
    return code_.read(address, out);
  }
  OrcAnswer orc(VirtAddr address) const override { return tables_.find(address); }
  bool is_code(VirtAddr address) const override { return code_.is_code(address); }
  std::optional<VirtAddr> function_of(VirtAddr address) const override { return code_.function_of(address); }
  bool is_breakpoint_entry(VirtAddr address) const override {
    const auto function = function_of(address);
    return function && breakpoint_entry_ && *function == *breakpoint_entry_;
  }
  const OrcTables& tables() const { return tables_; }

 private:
  KernelCode code_;
  mutable OrcTables tables_;
  std::optional<VirtAddr> breakpoint_entry_;
};

class OrcFollower final : public Follower {
 public:
  OrcFollower(const Session& session, const StackRules& rules)
      : session_(session), target_(session, rules), ret_from_fork_(place_of_new_tasks(session)) {}

  Trace follow(std::span<const Stack> stacks, const Start& start) const override {
    return unwind_by_orc(target_, stacks, start);
  }

  // What __switch_to_asm pushes (arch/x86/include/asm/switch_to.h), with the address that it returns to.
  Start of_switched_out(const Value& task) const override {
    const VirtAddr sp = lowest_of(task);
    const Value frame = session_.object(kernel::type_by_word(session_, "inactive_task_frame"), sp);
    const Value address = frame["ret_addr"];
    Start start;
    start.means = Means::switched_out;
    start.registers.set = &arch::x86_64::kRegisterSet;
    start.registers.put(Reg::ip, address.number());
    start.registers.put(Reg::bp, frame["bp"].number());
    start.registers.put(Reg::sp, sp.value + frame.type().size());
    start.at = address.address();
    start.is_interrupted = ret_from_fork_ && ret_from_fork_->value == start.registers[Reg::ip];
    return start;
  }

  VirtAddr lowest_of(const Value& task) const override { return task["thread"]["sp"].target(); }

  std::string what_is_missing() const override {
    const std::string& why = target_.tables().why_none();
    return why.empty() ? why : "stacks are followed without ORC: " + why;
  }

 private:
  const Session& session_;
  KernelWithOrc target_;
  std::optional<VirtAddr> ret_from_fork_;
};

}  // namespace

// Since 951c2a51ae75 (5.12) the pointer is to the last word.
void add_irq_stack(const Session& session, unsigned cpu, uint64_t /*task_stack_size*/,
                   std::vector<Stack>& stacks) {
  const uint64_t page = arch::x86_64::kPageSize;
  const VirtAddr top = top_of_irq_stack(session, cpu);
  if (top.value == 0) return;
  const VirtAddr end{(top.value + page - 1) / page * page};
  stacks.push_back({StackKind::irq, "IRQ", end - size_of_struct(session, "irq_stack", kUsualStackSize), end});
}

// They are in struct cpu_entry_area (7623f37e4111, 5.2), as is the stack on which user mode enters.
void add_entry_area(const Session& session, unsigned cpu, uint64_t /*task_stack_size*/,
                    std::vector<Stack>& stacks) {
  const VirtAddr base = session.own_global("cea_exception_stacks").per_cpu(cpu).target();
  if (base.value == 0) return;
  if (const auto all = session.types().kernel_type("cea_exception_stacks", type::Kind::structure))
    add_exception_stacks(*all, base, stacks);
  const auto area = session.types().kernel_type("cpu_entry_area", type::Kind::structure);
  const auto exceptions = area ? area->find_member("estacks") : std::nullopt;
  const auto entry = area ? area->find_member("entry_stack_page") : std::nullopt;
  if (!exceptions || !entry) return;
  const VirtAddr first = base - exceptions->bit_offset / 8 + entry->bit_offset / 8;
  stacks.push_back({StackKind::entry, "entry", first, first + entry->type.size()});
}

std::optional<arch::Registers> parse_prstatus(std::span<const std::byte> descriptor) {
  const auto registers = arch::x86_64::parse_prstatus(descriptor);
  return registers ? std::optional<arch::Registers>(*registers) : std::nullopt;
}

std::optional<arch::Registers> parse_qemu_note(std::span<const std::byte> descriptor) {
  const auto state = arch::x86_64::parse_qemu_cpu(descriptor);
  const auto registers = arch::x86_64::parse_qemu_registers(descriptor);
  if (!state || !state->is_paging() || !registers) return std::nullopt;
  return arch::Registers(*registers);
}

std::unique_ptr<Follower> make_follower(const Session& session, const StackRules& rules) {
  return std::make_unique<OrcFollower>(session, rules);
}

}  // namespace kvista::unwind::x86_64
