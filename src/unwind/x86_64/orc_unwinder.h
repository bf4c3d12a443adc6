// Stacks of x86_64, by the kernel's ORC tables.
#pragma once

#include <span>

#include "arch/x86_64/registers.h"
#include "unwind/trace.h"
#include "unwind/x86_64/orc_target.h"

namespace kvista::unwind {

/// Follows calls upwards. `stacks` are those that may be on the way; they must outlive the trace. Never
/// throws for what memory holds: the trace says where and why it ends.
Trace unwind_by_orc(const OrcTarget& target, std::span<const Stack> stacks, const Start& start);

}  // namespace kvista::unwind
