// How a stack of x86_64 is followed where ORC knows nothing of the code, or leads nowhere.
#include <fmt/format.h>

#include <algorithm>

#include "base/endian.h"
#include "unwind/x86_64/orc_walk.h"

namespace kvista::unwind {
namespace {

constexpr uint64_t kWord = StackReader::kWord;
constexpr std::byte kCall{0xe8};  // with a displacement of 32 bits
constexpr size_t kCallSize = 5;

// They are a call: E8 with a displacement, or FF /2 with an operand of some length.
bool follows_call(std::span<const std::byte> before) {
  const auto byte = [&](size_t back) { return std::to_integer<unsigned>(before[before.size() - back]); };
  if (before[before.size() - kCallSize] == kCall) return true;
  constexpr unsigned kExtension = 0x38;
  constexpr unsigned kIndirectCall = 0x10;
  constexpr std::array<size_t, 5> kLengths = {2, 3, 4, 6, 7};
  return std::any_of(kLengths.begin(), kLengths.end(), [&](size_t length) {
    return byte(length) == 0xff && (byte(length - 1) & kExtension) == kIndirectCall;
  });
}

}  // namespace

OrcState OrcWalk::at_return_address(VirtAddr at, uint64_t address, Means means) const {
  OrcState next;
  next.ip = VirtAddr{address};
  next.sp = at + kWord;
  next.stack = state_.stack;
  next.at = at;
  next.means = means;
  return next;
}

// Code made at run time, as BPF's is, keeps frame pointers.
std::optional<OrcState> OrcWalk::by_frame_pointer(Failure& failure) {
  const auto base = frame_base(failure);
  if (!base) return std::nullopt;
  const VirtAddr frame{*base};
  if (reader_.stack_of(frame) != state_.stack || frame < state_.sp) {
    failure = {fmt::format("the frame pointer {:#x} is not on the stack", frame.value)};
    return std::nullopt;
  }
  const auto bp = word(frame, failure);
  const auto address = bp ? word(frame + kWord, failure) : std::nullopt;
  if (!address) return std::nullopt;
  OrcState next = at_return_address(frame + kWord, *address, Means::frame_pointer);
  next.bp = bp;
  if (!is_kernel_code(next, failure) || !follows(next, failure)) return std::nullopt;
  return next;
}

std::optional<OrcWalk::BytesBefore> OrcWalk::bytes_before(VirtAddr address) const {
  BytesBefore before{};
  if (!target_.is_code(address) || !target_.read(address - before.size(), before).empty())
    return std::nullopt;
  return before;
}

bool OrcWalk::looks_like_return(VirtAddr address) const {
  const auto before = bytes_before(address);
  return before && follows_call(*before);
}

// Whether a call before `address` leads to `function`.
bool OrcWalk::follows_call_of(VirtAddr address, VirtAddr function) const {
  const auto before = bytes_before(address);
  if (!before || before->at(before->size() - kCallSize) != kCall) return false;
  const auto distance =
      static_cast<int32_t>(load<uint32_t>(&before->at(before->size() - kCallSize + 1), ByteOrder::little));
  return address + static_cast<uint64_t>(int64_t{distance}) == function;
}

// The first word of the stack for which `is_wanted`.
template <typename IsWanted>
std::optional<OrcState> OrcWalk::find_on(VirtAddr from, const Stack& stack, Means means, Failure& failure,
                                         IsWanted is_wanted) const {
  const VirtAddr aligned{(from.value + kWord - 1) & ~(kWord - 1)};
  for (VirtAddr at = aligned; at < stack.end; at += kWord) {
    const auto value = word(at, failure);
    if (!value) return std::nullopt;
    if (!is_wanted(VirtAddr{*value})) continue;
    OrcState next = at_return_address(at, *value, means);
    next.bp = state_.bp;
    next.is_bp_sure = false;
    next.stack = &stack;
    return next;
  }
  return std::nullopt;
}

std::optional<OrcState> OrcWalk::scan(VirtAddr from, const Stack& stack, Failure& failure) const {
  return find_on(from, stack, Means::scan, failure, [&](VirtAddr value) { return looks_like_return(value); });
}

// From the interrupt's stack back to the one that it interrupted: the word on top leads there.
std::optional<OrcState> OrcWalk::over_the_top(Failure& failure) {
  if (state_.stack->kind != StackKind::irq) return std::nullopt;
  Failure ignored;
  const auto before = word(state_.stack->end - kWord, ignored);
  if (!before) return std::nullopt;
  const Stack* stack = reader_.stack_of(VirtAddr{*before});
  if (!reader_.visit(stack)) return std::nullopt;
  return scan(VirtAddr{*before}, *stack, failure);
}

// Some functions have no ORC because they do odd things to the stack (STACK_FRAME_NON_STANDARD:
// __crash_kexec). Where such a one was called, the call names it.
std::optional<OrcState> OrcWalk::by_call_site(Failure& failure) const {
  const auto function = target_.function_of(state_.is_interrupted ? state_.ip : state_.ip - 1);
  if (!function) return std::nullopt;
  return find_on(state_.sp, *state_.stack, Means::call_site, failure,
                 [&](VirtAddr value) { return follows_call_of(value, *function); });
}

std::optional<OrcState> OrcWalk::by_scan(Failure& failure) {
  Failure of_scan;
  auto next = by_call_site(of_scan);
  if (!next) next = scan(state_.sp, *state_.stack, of_scan);
  if (!next && !of_scan.is_fatal) next = over_the_top(of_scan);
  if (!next) {
    if (failure.why.empty()) failure.why = fmt::format("what called {:#x} is not known", state_.ip.value);
    if (of_scan.is_fatal) failure = of_scan;
    return std::nullopt;
  }
  return next;
}

}  // namespace kvista::unwind
