#include "unwind/cpu_stacks.h"

#include "kernel/session.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {

void add_stack_at(const kernel::Session& session, unsigned cpu, const char* pointer, const char* name,
                  StackKind kind, uint64_t size, std::vector<Stack>& stacks) {
  const auto place = place_of(session, pointer);
  if (!place) return;
  const VirtAddr first{
      session.read_number(*place + session.per_cpu_offset(cpu), session.word_size(), nullptr)};
  if (first.value != 0) stacks.push_back({kind, name, first, first + size});
}

void add_irq_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                   std::vector<Stack>& stacks) {
  add_stack_at(session, cpu, "irq_stack_ptr", "IRQ", StackKind::irq, task_stack_size, stacks);
}

void add_overflow_stack(const kernel::Session& session, unsigned cpu, uint64_t /*task_stack_size*/,
                        std::vector<Stack>& stacks) {
  constexpr uint64_t kSize = 4096;  // OVERFLOW_STACK_SIZE
  const auto place = place_of(session, "overflow_stack");
  if (!place) return;
  const VirtAddr first = *place + session.per_cpu_offset(cpu);
  stacks.push_back({StackKind::exception, "overflow", first, first + kSize});
}

}  // namespace kvista::unwind
