// The stacks of riscv64 kernels: where they are, and where they are followed from.
#pragma once

#include <array>
#include <memory>

#include "unwind/architecture.h"
#include "unwind/cpu_stacks.h"

namespace kvista::unwind::riscv64 {

/// The IRQ stack: since 163e76cc6ef4 (6.7).
inline constexpr std::array kCpuStacks = {add_irq_stack, add_overflow_stack};

std::unique_ptr<Follower> make_follower(const kernel::Session& session, const StackRules& rules);

}  // namespace kvista::unwind::riscv64
