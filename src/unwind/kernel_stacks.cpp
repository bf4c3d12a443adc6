#include "unwind/kernel_stacks.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "arch/x86_64/paging.h"
#include "base/error.h"
#include "kernel/session.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {
namespace {

using kernel::Session;

constexpr uint64_t kUsualStackSize = 16384;  // THREAD_SIZE and IRQ_STACK_SIZE without KASAN
constexpr uint64_t kMostStackSize = 1 << 20;

// The linker puts init_task's stack between two labels; 8f69cba096b5 (6.10) took task_struct out of there.
uint64_t find_task_stack_size(const Session& session) {
  constexpr std::array kLabels = {std::pair{"__start_init_stack", "__end_init_stack"},
                                  std::pair{"__start_init_task", "__end_init_task"}};
  for (const auto& [start, end] : kLabels) {
    const auto first = place_of(session, start);
    const auto last = place_of(session, end);
    if (!first || !last || *last <= *first) continue;
    const uint64_t size = *last - *first;
    if (size % arch::x86_64::kPageSize == 0 && size <= kMostStackSize) return size;
  }
  return kUsualStackSize;
}

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

// Since 951c2a51ae75 (5.12) the pointer is to the last word.
void add_irq_stack(const Session& session, unsigned cpu, std::vector<Stack>& stacks) {
  const uint64_t page = arch::x86_64::kPageSize;
  const VirtAddr top = top_of_irq_stack(session, cpu);
  if (top.value == 0) return;
  const VirtAddr end{(top.value + page - 1) / page * page};
  stacks.push_back({StackKind::irq, "IRQ", end - size_of_struct(session, "irq_stack", kUsualStackSize), end});
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

// They are in struct cpu_entry_area (7623f37e4111, 5.2), as is the stack on which user mode enters.
void add_entry_area(const Session& session, unsigned cpu, std::vector<Stack>& stacks) {
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

}  // namespace

KernelStacks::KernelStacks(const Session& session)
    : session_(session), task_stack_size_(find_task_stack_size(session)) {}

Stack KernelStacks::of_task(const Value& task) const {
  const VirtAddr first = task["stack"].target();
  return {StackKind::task, "task", first, first + task_stack_size_};
}

const std::vector<Stack>& KernelStacks::of_cpu(unsigned cpu) {
  const auto [at, is_new] = of_cpus_.try_emplace(cpu);
  if (!is_new) return at->second;
  for (const auto add : {add_irq_stack, add_entry_area}) try {
      add(session_, cpu, at->second);
    } catch (const Error&) {
      continue;  // a frame on that stack will be said to be in none
    }
  return at->second;
}

}  // namespace kvista::unwind
