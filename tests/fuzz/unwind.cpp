// Stacks and ORC tables of any bytes: a stack is followed to its end, however they mislead.
#include "unwind/x86_64/orc_unwinder.h"

#include <algorithm>
#include <array>

#include "base/cursor.h"
#include "fuzz/targets.h"
#include "unwind/x86_64/orc_tables.h"

namespace kvista::fuzz {
namespace {

using arch::x86_64::Reg;
using unwind::OrcAnswer;

constexpr unsigned kFunctionSize = 64;
/// More than the unwinder follows, with what it may add at the end.
constexpr size_t kMostFrames = 1100;
constexpr std::array kFormats = {arch::x86_64::OrcFormat::v4_14, arch::x86_64::OrcFormat::v6_3,
                                 arch::x86_64::OrcFormat::v6_4, arch::x86_64::OrcFormat::v7_1};

// The input's memory is code, tables and stacks in one.
class InputTarget final : public unwind::OrcTarget {
 public:
  InputTarget(Input memory, const UnwindInput& head)
      : memory_(memory),
        format_(kFormats.at(head.format % kFormats.size())),
        table_{kUnwindStart, kUnwindStart + uint64_t{head.entries} * 4, head.entries} {}

  VirtAddr end() const { return kUnwindStart + memory_.size(); }
  std::string read(VirtAddr address, std::span<std::byte> out) const override {
    const uint64_t at = address - kUnwindStart;
    if (address < kUnwindStart || at > memory_.size() || memory_.size() - at < out.size())
      return "it is beyond";
    std::copy_n(memory_.begin() + static_cast<ptrdiff_t>(at), out.size(), out.begin());
    return {};
  }
  OrcAnswer orc(VirtAddr address) const override {
    return find_orc(table_, address, format_,
                    [this](VirtAddr at, std::span<std::byte> out) { return read(at, out); });
  }
  bool is_code(VirtAddr address) const override { return address >= kUnwindStart && address < end(); }
  std::optional<VirtAddr> function_of(VirtAddr address) const override {
    if (!is_code(address)) return std::nullopt;
    return VirtAddr{address.value / kFunctionSize * kFunctionSize};
  }

 private:
  Input memory_;
  arch::x86_64::OrcFormat format_;
  unwind::OrcTable table_;
};

UnwindInput read_head(Cursor& cursor) {
  UnwindInput head;
  head.format = cursor.u32();
  head.entries = cursor.u32();
  for (uint64_t* field : {&head.ip, &head.sp, &head.bp, &head.middle}) *field = cursor.u64();
  return head;
}

// Where nothing is on a stack, the pointer is behind its last word; where it is used up, in the page below.
bool belongs_to(const unwind::Stack& stack, VirtAddr sp) {
  constexpr uint64_t kInPage = 4095;
  return stack.contains(sp) || stack.contains(sp - 8) || stack.contains(VirtAddr{(sp.value | kInPage) + 1});
}

}  // namespace

bool unwind(Input input) {
  if (input.size() < kUnwindHead) return false;
  Cursor cursor(input.first(kUnwindHead), ByteOrder::little);
  const UnwindInput head = read_head(cursor);
  const InputTarget target(input.subspan(kUnwindHead), head);
  const VirtAddr middle = std::clamp(kUnwindStart + head.middle, kUnwindStart, target.end());
  const std::array stacks = {unwind::Stack{unwind::StackKind::task, "task", kUnwindStart, middle},
                             unwind::Stack{unwind::StackKind::irq, "IRQ", middle, target.end()}};
  unwind::Start start;
  start.registers.set = &arch::x86_64::kRegisterSet;
  start.registers.put(Reg::ip, head.ip);
  start.registers.put(Reg::sp, head.sp);
  start.registers.put(Reg::bp, head.bp);
  start.is_interrupted = true;
  const unwind::Trace trace = unwind::unwind_by_orc(target, stacks, start);
  require(trace.frames.size() <= kMostFrames, "a stack has an end");
  require(trace.end == unwind::End::complete || !trace.fault.empty(), "what is not followed has a reason");
  for (const unwind::Frame& frame : trace.frames)
    require(frame.stack == nullptr || belongs_to(*frame.stack, frame.sp),
            "a frame is on the stack that it names");
  return trace.end == unwind::End::complete;
}

}  // namespace kvista::fuzz
