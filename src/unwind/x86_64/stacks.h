// The stacks of x86_64 kernels: where they are, and where they are followed from.
#pragma once

#include <array>
#include <memory>

#include "unwind/architecture.h"

namespace kvista::unwind::x86_64 {

std::optional<arch::Registers> parse_prstatus(std::span<const std::byte> descriptor);
/// Nothing for a CPU that was never started, too.
std::optional<arch::Registers> parse_qemu_note(std::span<const std::byte> descriptor);

void add_irq_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                   std::vector<Stack>& stacks);
/// Those of exceptions, and that on which user mode enters.
void add_entry_area(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                    std::vector<Stack>& stacks);
inline constexpr std::array kCpuStacks = {add_irq_stack, add_entry_area};

std::unique_ptr<Follower> make_follower(const kernel::Session& session, const StackRules& rules);

}  // namespace kvista::unwind::x86_64
