// Stacks of any bytes, of kernels whose frames lead to each other: a stack is followed to its end, however
// they mislead.
#include <array>
#include <memory>

#include "arch/arm64/registers.h"
#include "arch/riscv64/registers.h"
#include "arch/s390x/registers.h"
#include "fuzz/unwind_input.h"
#include "unwind/arm64/frames.h"
#include "unwind/frame_unwinder.h"
#include "unwind/riscv64/frames.h"
#include "unwind/s390x/frames.h"

namespace kvista::fuzz {
namespace {

using unwind::FrameFormat;

// Functions that nobody called, and by which exceptions enter.
constexpr VirtRange kBeginning{kUnwindStart + 0x40, kUnwindStart + 0x7f};
constexpr VirtRange kEntry{kUnwindStart + 0xc0, kUnwindStart + 0xff};

std::unique_ptr<FrameFormat> make_arm64(const UnwindInput& head) {
  constexpr uint64_t kSignature = 0x007f000000000000;
  return std::make_unique<unwind::arm64::Frames>(
      unwind::arm64::FrameFacts{kSignature, 336, 304, (head.entries & 1) != 0, {kBeginning}});
}
std::unique_ptr<FrameFormat> make_riscv64(const UnwindInput& /*head*/) {
  return std::make_unique<unwind::riscv64::Frames>(unwind::riscv64::FrameFacts{288, {kEntry}, {kBeginning}});
}
std::unique_ptr<FrameFormat> make_s390x(const UnwindInput& head) {
  unwind::s390x::FrameFacts facts;
  if ((head.entries & 1) != 0) facts.layout = {112, 0};
  return std::make_unique<unwind::s390x::Frames>(facts);
}

struct Form {
  const arch::RegisterSet* set;
  ByteOrder order;
  std::unique_ptr<FrameFormat> (*make)(const UnwindInput& head);
};
constexpr std::array kForms = {Form{&arch::arm64::kRegisterSet, ByteOrder::little, make_arm64},
                               Form{&arch::riscv64::kRegisterSet, ByteOrder::little, make_riscv64},
                               Form{&arch::s390x::kRegisterSet, ByteOrder::big, make_s390x}};

}  // namespace

bool frames(Input input) {
  if (input.size() < kUnwindHead) return false;
  const UnwindInput head = read_unwind_head(input);
  const Form& form = kForms.at(head.format % kForms.size());
  const InputMemory<unwind::Target> target(input.subspan(kUnwindHead));
  const auto stacks = stacks_of_input(head, target.end());
  unwind::Start start;
  start.registers.set = form.set;
  for (size_t i = 0; i < form.set->names.size(); ++i) start.registers.put(i, head.bp);
  start.registers.put(form.set->sp, head.sp);
  start.registers.put(form.set->ip, head.ip);
  start.has_all_registers = true;
  start.is_interrupted = true;
  return is_complete(unwind_by_frames(target, *form.make(head), stacks, start, form.order));
}

}  // namespace kvista::fuzz
