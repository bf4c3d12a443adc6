#include "unwind/kernel_target.h"

#include <algorithm>

#include "arch/x86_64/layout.h"
#include "base/error.h"
#include "kernel/session.h"
#include "unwind/kernel_memory.h"

namespace kvista::unwind {
namespace {

constexpr uint64_t kNoExecute = uint64_t{1} << 63;  // _PAGE_NX

// Code that was made at run time (BPF, trampolines of tracing) is in no module. The page tables tell it.
bool is_executable(const kernel::Session& session, VirtAddr address) {
  try {
    const machine::Walk walk = session.space().walk(address);
    return walk.end == machine::WalkEnd::mapped && !walk.steps.empty() &&
           (walk.steps.back().raw & kNoExecute) == 0;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

KernelTarget::KernelTarget(const kernel::Session& session)
    : session_(session),
      code_(kernel_code(session)),
      tables_(session),
      breakpoint_entry_(place_of(session, "asm_exc_int3")) {
  if (!breakpoint_entry_) breakpoint_entry_ = place_of(session, "int3");
}

std::string KernelTarget::read(VirtAddr address, std::span<std::byte> out) const {
  return read_or_say(session_, address, out);
}

bool KernelTarget::is_code(VirtAddr address) const {
  const auto is_within = [&](const VirtRange& range) { return range.contains(address); };
  if (std::any_of(code_.begin(), code_.end(), is_within)) return true;
  if (address < arch::x86_64::kKernelMap || address > arch::x86_64::kModulesLast) return false;
  return is_executable(session_, address);
}

// Of this name since 8edd7e37aed8 (5.8); before it was int3.
bool KernelTarget::is_breakpoint_entry(VirtAddr address) const {
  const auto function = function_of(address);
  return function && breakpoint_entry_ && *function == *breakpoint_entry_;
}

std::optional<VirtAddr> KernelTarget::function_of(VirtAddr address) const {
  try {
    const auto near = session_.nearest_symbol(address);
    return near ? std::optional(near->symbol.address) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace kvista::unwind
