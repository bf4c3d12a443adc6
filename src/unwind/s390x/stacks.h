// The stacks of s390x kernels: where they are, and where they are followed from.
#pragma once

#include <array>
#include <memory>

#include "unwind/architecture.h"

namespace kvista::unwind::s390x {

/// Those to which a CPU's lowcore leads.
void add_lowcore_stacks(const kernel::Session& session, unsigned cpu, uint64_t task_stack_size,
                        std::vector<Stack>& stacks);
inline constexpr std::array kCpuStacks = {add_lowcore_stacks};

std::unique_ptr<Follower> make_follower(const kernel::Session& session, const StackRules& rules);

}  // namespace kvista::unwind::s390x
