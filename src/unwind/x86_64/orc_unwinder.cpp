#include "unwind/x86_64/orc_unwinder.h"

#include <fmt/format.h>

#include <utility>

#include "unwind/x86_64/orc_walk.h"

namespace kvista::unwind {
namespace {

using arch::x86_64::OrcType;
using arch::x86_64::Reg;
using arch::x86_64::Registers;

class Unwinder final : OrcWalk {
 public:
  using OrcWalk::OrcWalk;

  Trace run(const Start& start) {
    begin(start);
    while (trace_.frames.size() < kMostFrames) {
      if (step()) continue;
      return std::move(trace_);
    }
    trace_.fault = fmt::format("it has more than {} frames", kMostFrames);
    return std::move(trace_);
  }

 private:
  void begin(const Start& start) {
    const Registers registers = arch::x86_64::own_registers(start.registers);
    state_.ip = VirtAddr{registers[Reg::ip]};
    state_.sp = VirtAddr{registers[Reg::sp]};
    state_.bp = registers[Reg::bp];
    state_.is_interrupted = start.is_interrupted;
    if (start.has_all_registers) state_.all = registers;
    if (start.has_all_registers) state_.saved = registers;
    state_.has_all = start.has_all_registers;
    state_.at = start.at;
    state_.means = start.means;
    state_.stack = reader_.stack_of_pointer(state_.sp);
    reader_.visit(state_.stack);
    add_frame();
  }

  void add_frame() {
    Frame frame;
    frame.address = state_.ip;
    frame.sp = state_.sp;
    frame.at = state_.at;
    frame.means = state_.means;
    frame.is_interrupted = state_.is_interrupted;
    frame.stack = state_.stack;
    if (state_.saved)
      frame.registers =
          state_.has_all ? arch::Registers(*state_.saved) : arch::x86_64::interrupt_frame(*state_.saved);
    frame.doubt = state_.doubt;
    trace_.frames.push_back(std::move(frame));
  }

  bool stop(std::string fault) {
    trace_.fault = std::move(fault);
    return false;
  }
  bool finish() {
    trace_.end = End::complete;
    return false;
  }

  bool is_at_ip() const { return state_.is_interrupted && !state_.is_at_breakpoint; }

  // One frame further. False at the end.
  bool step() {
    if (state_.stack == nullptr)
      return stop(
          fmt::format("the stack pointer {:#x} is in no stack of the task or its CPU", state_.sp.value));
    const OrcAnswer answer = target_.orc(is_at_ip() ? state_.ip : state_.ip - 1);
    if (answer.entry && answer.entry->type == OrcType::end_of_stack) return finish();
    Failure failure;
    std::optional<OrcState> next;
    const bool is_known = answer.entry && answer.entry->type != OrcType::undefined;
    if (is_known) {
      next = by_orc(*answer.entry, failure);
    } else if (!answer.entry && answer.fault.empty()) {
      next = by_frame_pointer(failure);
    }
    if (!next && !failure.is_fatal) {
      next = by_scan(failure);
      if (next && is_known) next->doubt = failure.why;
    }
    if (!next && !failure.is_fatal && !answer.entry && take_entry()) return finish();
    if (!next) return stop(failure.why.empty() ? answer.fault : failure.why);
    return go_to(std::move(*next));
  }

  bool go_to(OrcState next) {
    state_ = std::move(next);
    if (state_.saved && state_.saved->is_user()) {
      trace_.user = state_.saved;
      return finish();
    }
    add_frame();
    return true;
  }

  // Without ORC nothing says where a stack ends. Above all frames of a task that came from user mode are its
  // registers there, but for what FRED puts above them (TOP_OF_KERNEL_STACK_PADDING).
  bool take_entry() {
    if (state_.stack->kind != StackKind::task) return false;
    constexpr uint64_t kUserCode = 0x33;  // __USER_CS, __USER_DS
    constexpr uint64_t kUserData = 0x2b;
    for (const uint64_t padding : {0U, 16U}) {
      const VirtAddr at = state_.stack->end - padding - arch::x86_64::kRegistersSize;
      Failure ignored;
      const auto found = at < state_.sp ? std::nullopt : registers_at(at, true, ignored);
      if (!found || (*found)[Reg::cs] != kUserCode || (*found)[Reg::ss] != kUserData) continue;
      trace_.user = found;
      return true;
    }
    return false;
  }

  Trace trace_;
};

}  // namespace

Trace unwind_by_orc(const OrcTarget& target, std::span<const Stack> stacks, const Start& start) {
  return Unwinder(target, stacks).run(start);
}

}  // namespace kvista::unwind
