// Stacks and ORC tables of any bytes: a stack is followed to its end, however they mislead.
#include "unwind/x86_64/orc_unwinder.h"

#include <algorithm>
#include <array>

#include "base/cursor.h"
#include "fuzz/unwind_input.h"
#include "unwind/x86_64/orc_tables.h"

namespace kvista::fuzz {
namespace {

using arch::x86_64::Reg;
using unwind::OrcAnswer;

/// More than the unwinder follows, with what it may add at the end.
constexpr size_t kMostFrames = 1100;
constexpr std::array kFormats = {arch::x86_64::OrcFormat::v4_14, arch::x86_64::OrcFormat::v6_3,
                                 arch::x86_64::OrcFormat::v6_4, arch::x86_64::OrcFormat::v7_1};

// The input's memory is code, tables and stacks in one.
class InputTarget final : public InputMemory<unwind::OrcTarget> {
 public:
  InputTarget(Input memory, const UnwindInput& head)
      : InputMemory(memory),
        format_(kFormats.at(head.format % kFormats.size())),
        table_{kUnwindStart, kUnwindStart + uint64_t{head.entries} * 4, head.entries} {}

  OrcAnswer orc(VirtAddr address) const override {
    return find_orc(table_, address, format_,
                    [this](VirtAddr at, std::span<std::byte> out) { return read(at, out); });
  }

 private:
  arch::x86_64::OrcFormat format_;
  unwind::OrcTable table_;
};

// Where nothing is on a stack, the pointer is behind its last word; where it is used up, in the page below.
bool belongs_to(const unwind::Stack& stack, VirtAddr sp) {
  constexpr uint64_t kInPage = 4095;
  return stack.contains(sp) || stack.contains(sp - 8) || stack.contains(VirtAddr{(sp.value | kInPage) + 1});
}

}  // namespace

UnwindInput read_unwind_head(Input input) {
  Cursor cursor(input.first(kUnwindHead), ByteOrder::little);
  UnwindInput head;
  head.format = cursor.u32();
  head.entries = cursor.u32();
  for (uint64_t* field : {&head.ip, &head.sp, &head.bp, &head.middle}) *field = cursor.u64();
  return head;
}

std::array<unwind::Stack, 2> stacks_of_input(const UnwindInput& head, VirtAddr end) {
  const VirtAddr middle = std::clamp(kUnwindStart + head.middle, kUnwindStart, end);
  return {unwind::Stack{unwind::StackKind::task, "task", kUnwindStart, middle},
          unwind::Stack{unwind::StackKind::irq, "IRQ", middle, end}};
}

bool is_complete(const unwind::Trace& trace) {
  require(trace.frames.size() <= kMostFrames, "a stack has an end");
  require(trace.end == unwind::End::complete || !trace.fault.empty(), "what is not followed has a reason");
  for (const unwind::Frame& frame : trace.frames)
    require(frame.stack == nullptr || belongs_to(*frame.stack, frame.sp),
            "a frame is on the stack that it names");
  return trace.end == unwind::End::complete;
}

bool unwind(Input input) {
  if (input.size() < kUnwindHead) return false;
  const UnwindInput head = read_unwind_head(input);
  const InputTarget target(input.subspan(kUnwindHead), head);
  const auto stacks = stacks_of_input(head, target.end());
  unwind::Start start;
  start.registers.set = &arch::x86_64::kRegisterSet;
  start.registers.put(Reg::ip, head.ip);
  start.registers.put(Reg::sp, head.sp);
  start.registers.put(Reg::bp, head.bp);
  start.is_interrupted = true;
  return is_complete(unwind::unwind_by_orc(target, stacks, start));
}

}  // namespace kvista::fuzz
