#include "unwind/kernel_target.h"

#include <algorithm>

#include "base/error.h"
#include "kernel/session.h"
#include "unwind/architecture.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {

KernelCode::KernelCode(const kernel::Session& session, const StackRules& rules)
    : session_(session), rules_(rules), code_(kernel_code(session)) {}

std::string KernelCode::read(VirtAddr address, std::span<std::byte> out) const {
  return read_or_say(session_, address, out);
}

// Code that was made at run time (BPF, trampolines of tracing) is in no module. The page tables tell it.
bool KernelCode::is_code(VirtAddr address) const {
  const auto is_within = [&](const VirtRange& range) { return range.contains(address); };
  if (std::any_of(code_.begin(), code_.end(), is_within)) return true;
  if (!rules_.generated_code.contains(address)) return false;
  try {
    const machine::Walk walk = session_.space().walk(address);
    return walk.end == machine::WalkEnd::mapped && !walk.steps.empty() &&
           rules_.is_executable(walk.steps.back().raw);
  } catch (const Error&) {
    return false;
  }
}

std::optional<VirtAddr> KernelCode::function_of(VirtAddr address) const {
  try {
    const auto near = session_.nearest_symbol(address);
    return near ? std::optional(near->symbol.address) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace kvista::unwind
