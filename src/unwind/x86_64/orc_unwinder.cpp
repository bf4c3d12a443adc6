#include "unwind/x86_64/orc_unwinder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/endian.h"
#include "unwind/stack_reader.h"

namespace kvista::unwind {
namespace {

using arch::x86_64::OrcBase;
using arch::x86_64::OrcEntry;
using arch::x86_64::OrcType;
using arch::x86_64::Reg;
using arch::x86_64::Registers;

constexpr uint64_t kWord = StackReader::kWord;

// Where the unwinder is. What is not known has no value.
struct State {
  VirtAddr ip;
  VirtAddr sp;
  std::optional<uint64_t> bp;
  bool is_bp_sure = true;  // false: as it was in the function that was called
  bool is_interrupted = false;
  bool is_at_breakpoint = false;  // ip is behind an int3, and what that stands for has not been done
  const Stack* stack = nullptr;
  std::optional<Registers> all;    // as an exception saved them, until the next call
  std::optional<Registers> saved;  // of this frame: all, or ip to ss
  bool has_all = false;            // of `saved`
  std::optional<VirtAddr> at;
  Means means = Means::registers;
  std::string doubt = {};
};

// The bytes before an address to which a call returns.
using BytesBefore = std::array<std::byte, 7>;
constexpr std::byte kCall{0xe8};  // with a displacement of 32 bits
constexpr size_t kCallSize = 5;

// They are a call: E8 with a displacement, or FF /2 with an operand of some length.
bool follows_call(const BytesBefore& before) {
  const auto byte = [&](size_t back) { return std::to_integer<unsigned>(before.at(before.size() - back)); };
  if (before.at(before.size() - kCallSize) == kCall) return true;
  constexpr unsigned kExtension = 0x38;
  constexpr unsigned kIndirectCall = 0x10;
  constexpr std::array<size_t, 5> kLengths = {2, 3, 4, 6, 7};
  return std::any_of(kLengths.begin(), kLengths.end(), [&](size_t length) {
    return byte(length) == 0xff && (byte(length - 1) & kExtension) == kIndirectCall;
  });
}

class Unwinder {
 public:
  Unwinder(const OrcTarget& target, std::span<const Stack> stacks)
      : target_(target), reader_(target, stacks, ByteOrder::little) {}

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
    std::optional<State> next;
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

  bool go_to(State next) {
    state_ = std::move(next);
    if (state_.saved && state_.saved->is_user()) {
      trace_.user = state_.saved;
      return finish();
    }
    add_frame();
    return true;
  }

  // --- memory ---

  std::optional<uint64_t> word(VirtAddr address, Failure& failure) const {
    return reader_.word(state_.ip, address, failure);
  }

  std::optional<uint64_t> base_register(Reg reg, Failure& failure) const {
    if (state_.all) return (*state_.all)[reg];
    failure = {fmt::format("the frame of {:#x} is found by {}, which is not known", state_.ip.value,
                           arch::x86_64::name_of(reg))};
    return std::nullopt;
  }

  std::optional<uint64_t> frame_base(Failure& failure) const {
    if (!state_.bp)
      failure = {fmt::format("the frame of {:#x} is found by RBP, which is not known", state_.ip.value)};
    return state_.bp;
  }

  // Whether a frame may follow the one that there is: further up on the same stack, or on one that was not
  // visited yet.
  bool follows(const State& next, Failure& failure) {
    if (next.stack == nullptr && !(next.saved && next.saved->is_user())) {
      failure = {fmt::format("the frame of {:#x} leads to the stack pointer {:#x}, which is in no stack",
                             state_.ip.value, next.sp.value)};
      return false;
    }
    if (next.stack == state_.stack && next.sp <= state_.sp) {
      failure = {fmt::format("the frame of {:#x} leads back to {:#x}", state_.ip.value, next.sp.value)};
      return false;
    }
    if (next.stack != state_.stack && next.stack != nullptr && !reader_.visit(next.stack)) {
      failure = {
          fmt::format("the frame of {:#x} leads back to the {} stack", state_.ip.value, next.stack->name)};
      return false;
    }
    return true;
  }

  bool is_kernel_code(const State& next, Failure& failure) const {
    if (next.saved && next.saved->is_user()) return true;
    if (target_.is_code(next.ip)) return true;
    failure = {
        fmt::format("the frame of {:#x} leads to {:#x}, which is no code", state_.ip.value, next.ip.value)};
    return false;
  }

  // --- ORC: arch/x86/kernel/unwind_orc.c, unwind_next_frame() ---

  std::optional<uint64_t> caller_sp(const OrcEntry& entry, Failure& failure) const {
    const auto offset = static_cast<uint64_t>(int64_t{entry.sp_offset});
    const auto plus = [](std::optional<uint64_t> base, uint64_t more) {
      return base ? std::optional(*base + more) : std::nullopt;
    };
    switch (entry.sp_base) {
      case OrcBase::sp:
        return state_.sp.value + offset;
      case OrcBase::bp:
        return plus(frame_base(failure), offset);
      case OrcBase::sp_indirect:  // 87ccc826bf1c (5.12) gave it this meaning; before it was not used
        return plus(word(state_.sp, failure), offset);
      case OrcBase::bp_indirect:
        if (const auto base = frame_base(failure)) return word(VirtAddr{*base + offset}, failure);
        return std::nullopt;
      case OrcBase::ax:
        return base_register(Reg::ax, failure);
      case OrcBase::dx:
        return base_register(Reg::dx, failure);
      case OrcBase::di:
        return base_register(Reg::di, failure);
      case OrcBase::r10:
        return base_register(Reg::r10, failure);
      case OrcBase::r13:
        return base_register(Reg::r13, failure);
      case OrcBase::undefined:
      case OrcBase::previous_sp:
      case OrcBase::unknown:
        break;
    }
    failure = {fmt::format("the ORC entry of {:#x} makes no sense", state_.ip.value)};
    return std::nullopt;
  }

  static bool needs_bp(const OrcEntry& entry) {
    return entry.sp_base == OrcBase::bp || entry.sp_base == OrcBase::bp_indirect ||
           entry.bp_base == OrcBase::bp;
  }

  bool find_bp(const OrcEntry& entry, VirtAddr caller_sp, State& next, Failure& failure) const {
    const auto offset = static_cast<uint64_t>(int64_t{entry.bp_offset});
    switch (entry.bp_base) {
      case OrcBase::undefined:  // it has not changed, or is among those that were saved
        next.bp = next.all ? std::optional((*next.all)[Reg::bp]) : state_.bp;
        return true;
      case OrcBase::previous_sp:
        next.bp = word(caller_sp + offset, failure);
        return next.bp.has_value();
      case OrcBase::bp:
        if (const auto base = frame_base(failure)) next.bp = word(VirtAddr{*base + offset}, failure);
        return next.bp.has_value();
      default:
        failure = {fmt::format("the ORC entry of {:#x} makes no sense", state_.ip.value)};
        return false;
    }
  }

  // The registers at an address: all, or only those that the CPU pushes.
  std::optional<Registers> registers_at(VirtAddr address, bool are_all, Failure& failure) const {
    std::array<std::byte, arch::x86_64::kRegistersSize> bytes{};
    const auto wanted =
        are_all ? std::span(bytes) : std::span(bytes).subspan(arch::x86_64::kInterruptFrameOffset);
    if (!reader_.read_registers(state_.ip, address, wanted, failure)) return std::nullopt;
    return are_all ? arch::x86_64::parse_registers(wanted) : arch::x86_64::parse_interrupt_frame(wanted);
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

  bool take_registers(VirtAddr address, bool are_all, State& next, Failure& failure) const {
    next.saved = registers_at(address, are_all, failure);
    if (!next.saved) return false;
    next.has_all = are_all;
    if (are_all) next.all = next.saved;
    next.ip = VirtAddr{(*next.saved)[Reg::ip]};
    next.sp = VirtAddr{(*next.saved)[Reg::sp]};
    next.at = are_all ? address + arch::x86_64::kInterruptFrameOffset : address;
    next.means = Means::registers;
    return true;
  }

  std::optional<State> by_orc(const OrcEntry& entry, Failure& failure) {
    const auto sp = caller_sp(entry, failure);
    if (!sp) return std::nullopt;
    State next = state_;
    next.saved.reset();
    next.has_all = false;
    next.doubt.clear();
    const VirtAddr found{*sp};
    if (entry.type == OrcType::call) {
      const auto address = word(found - kWord, failure);
      if (!address) return std::nullopt;
      next.all.reset();
      next.ip = VirtAddr{*address};
      next.sp = found;
      next.at = found - kWord;
      next.means = Means::orc;
    } else if (entry.type == OrcType::registers || entry.type == OrcType::partial_registers) {
      if (!take_registers(found, entry.type == OrcType::registers, next, failure)) return std::nullopt;
    } else {
      failure = {fmt::format("the ORC entry of {:#x} makes no sense", state_.ip.value)};
      return std::nullopt;
    }
    next.is_interrupted = entry.is_signal;
    next.is_at_breakpoint = next.saved && is_behind_breakpoint(next.ip);
    next.stack = reader_.stack_of_pointer(next.sp);
    if (next.saved && next.saved->is_user()) return next;
    if (!find_bp(entry, found, next, failure)) return std::nullopt;
    if (needs_bp(entry) && !state_.is_bp_sure && !looks_like_return(next.ip)) {
      failure = {fmt::format("the frame of {:#x} is found by RBP, which is not known", state_.ip.value)};
      return std::nullopt;
    }
    next.is_bp_sure = state_.is_bp_sure || entry.bp_base != OrcBase::undefined || next.all.has_value();
    if (!is_kernel_code(next, failure) || !follows(next, failure)) return std::nullopt;
    return next;
  }

  // A probe's int3 (kprobes), or that of code that is being patched, stands in the place of an instruction,
  // at which the stack still is. The byte tells, where the handler has not changed ip yet.
  bool is_behind_breakpoint(VirtAddr ip) const {
    constexpr std::byte kInt3{0xcc};
    std::array<std::byte, 1> before{};
    return target_.is_breakpoint_entry(state_.ip - 1) &&
           target_.function_of(ip) == target_.function_of(ip - 1) && target_.read(ip - 1, before).empty() &&
           before[0] == kInt3;
  }

  // --- without ORC ---

  State at_return_address(VirtAddr at, uint64_t address, Means means) const {
    State next;
    next.ip = VirtAddr{address};
    next.sp = at + kWord;
    next.stack = state_.stack;
    next.at = at;
    next.means = means;
    return next;
  }

  // Code made at run time, as BPF's is, keeps frame pointers.
  std::optional<State> by_frame_pointer(Failure& failure) {
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
    State next = at_return_address(frame + kWord, *address, Means::frame_pointer);
    next.bp = bp;
    if (!is_kernel_code(next, failure) || !follows(next, failure)) return std::nullopt;
    return next;
  }

  std::optional<BytesBefore> bytes_before(VirtAddr address) const {
    BytesBefore before{};
    if (!target_.is_code(address) || !target_.read(address - before.size(), before).empty())
      return std::nullopt;
    return before;
  }

  bool looks_like_return(VirtAddr address) const {
    const auto before = bytes_before(address);
    return before && follows_call(*before);
  }

  // Whether a call before `address` leads to `function`.
  bool follows_call_of(VirtAddr address, VirtAddr function) const {
    const auto before = bytes_before(address);
    if (!before || before->at(before->size() - kCallSize) != kCall) return false;
    const auto distance =
        static_cast<int32_t>(load<uint32_t>(&before->at(before->size() - kCallSize + 1), ByteOrder::little));
    return address + static_cast<uint64_t>(int64_t{distance}) == function;
  }

  // From the interrupt's stack back to the one that it interrupted: the word on top leads there.
  std::optional<State> over_the_top(Failure& failure) {
    if (state_.stack->kind != StackKind::irq) return std::nullopt;
    Failure ignored;
    const auto before = word(state_.stack->end - kWord, ignored);
    if (!before) return std::nullopt;
    const Stack* stack = reader_.stack_of(VirtAddr{*before});
    if (!reader_.visit(stack)) return std::nullopt;
    return scan(VirtAddr{*before}, *stack, failure);
  }

  // The first word of the stack for which `is_wanted`.
  template <typename IsWanted>
  std::optional<State> find_on(VirtAddr from, const Stack& stack, Means means, Failure& failure,
                               IsWanted is_wanted) const {
    const VirtAddr aligned{(from.value + kWord - 1) & ~(kWord - 1)};
    for (VirtAddr at = aligned; at < stack.end; at += kWord) {
      const auto value = word(at, failure);
      if (!value) return std::nullopt;
      if (!is_wanted(VirtAddr{*value})) continue;
      State next = at_return_address(at, *value, means);
      next.bp = state_.bp;
      next.is_bp_sure = false;
      next.stack = &stack;
      return next;
    }
    return std::nullopt;
  }

  std::optional<State> scan(VirtAddr from, const Stack& stack, Failure& failure) const {
    return find_on(from, stack, Means::scan, failure,
                   [&](VirtAddr value) { return looks_like_return(value); });
  }

  // Some functions have no ORC because they do odd things to the stack (STACK_FRAME_NON_STANDARD:
  // __crash_kexec). Where such a one was called, the call names it.
  std::optional<State> by_call_site(Failure& failure) const {
    const auto function = target_.function_of(state_.is_interrupted ? state_.ip : state_.ip - 1);
    if (!function) return std::nullopt;
    return find_on(state_.sp, *state_.stack, Means::call_site, failure,
                   [&](VirtAddr value) { return follows_call_of(value, *function); });
  }

  std::optional<State> by_scan(Failure& failure) {
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

  const OrcTarget& target_;
  StackReader reader_;
  State state_;
  Trace trace_;
};

}  // namespace

Trace unwind_by_orc(const OrcTarget& target, std::span<const Stack> stacks, const Start& start) {
  return Unwinder(target, stacks).run(start);
}

}  // namespace kvista::unwind
