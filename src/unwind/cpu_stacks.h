// Stacks of CPUs that several architectures have alike.
#pragma once

#include <cstdint>
#include <vector>

#include "unwind/stack.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

/// A stack of `size` bytes of which a CPU's variable `pointer` has the lowest address. None where there is no
/// such variable, or nothing in it. Throws where it cannot be read.
void add_stack_at(const kernel::Session& session, unsigned cpu, const char* pointer, const char* name,
                  StackKind kind, uint64_t size, std::vector<Stack>& stacks);
/// The variable irq_stack_ptr; IRQ_STACK_SIZE is THREAD_SIZE.
void add_irq_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                   std::vector<Stack>& stacks);
/// The variable overflow_stack, on which exceptions are taken that find a stack used up.
void add_overflow_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                        std::vector<Stack>& stacks);

}  // namespace kvista::unwind
