// The stacks of arm64 kernels: where they are, and where they are followed from.
#pragma once

#include <array>
#include <memory>

#include "unwind/architecture.h"
#include "unwind/cpu_stacks.h"

namespace kvista::unwind::arm64 {

/// Those of events that firmware signals (SDEI).
void add_firmware_stacks(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                         std::vector<Stack>& stacks);
/// That on which the firmware's services run (EFI), one for all CPUs.
void add_efi_stack(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                   std::vector<Stack>& stacks);
inline constexpr std::array kCpuStacks = {add_irq_stack, add_overflow_stack, add_firmware_stacks,
                                          add_efi_stack};

std::unique_ptr<Follower> make_follower(const kernel::Session& session, const StackRules& rules);

}  // namespace kvista::unwind::arm64
