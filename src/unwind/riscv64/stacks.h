// The stacks of riscv64 kernels: where they are, and where they are followed from.
#pragma once

#include <array>
#include <memory>

#include "unwind/architecture.h"

namespace kvista::unwind::riscv64 {

void add_irq_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                   std::vector<Stack>& stacks);
/// That of exceptions which find a stack used up.
void add_overflow_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                        std::vector<Stack>& stacks);
inline constexpr std::array kCpuStacks = {add_irq_stack, add_overflow_stack};

std::unique_ptr<Follower> make_follower(const kernel::Session& session, const StackRules& rules);

}  // namespace kvista::unwind::riscv64
