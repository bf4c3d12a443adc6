#include "unwind/frame_unwinder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace kvista::unwind {
namespace {

constexpr uint64_t kWord = StackReader::kWord;

// Where the unwinder is.
struct State {
  FramePosition position;
  VirtAddr sp;
  const Stack* stack = nullptr;
  std::optional<arch::Registers> registers;  // as they were when it was interrupted
  std::optional<VirtAddr> at;
  Means means = Means::registers;
  std::string doubt = {};
};

class Unwinder {
 public:
  Unwinder(const Target& target, const FrameFormat& format, std::span<const Stack> stacks, ByteOrder order)
      : target_(target), format_(format), reader_(target, stacks, order) {}

  Trace run(const Start& start) {
    begin(start);
    while (trace_.frames.size() < kMostFrames)
      if (!step()) return std::move(trace_);
    trace_.fault = fmt::format("it has more than {} frames", kMostFrames);
    return std::move(trace_);
  }

 private:
  void begin(const Start& start) {
    state_.position = {format_.strip(VirtAddr{start.registers.ip()}), VirtAddr{start.registers.fp()},
                       start.is_interrupted};
    state_.sp = VirtAddr{start.registers.sp()};
    state_.position.lowest = state_.sp;
    if (start.has_all_registers) state_.registers = start.registers;
    state_.at = start.at;
    state_.means = start.means;
    state_.stack = reader_.stack_of_pointer(state_.sp);
    enter(state_.stack, state_.sp);
    add_frame();
  }

  // From now on frames are in that stack, not below `from`.
  void enter(const Stack* stack, VirtAddr from) {
    reader_.visit(stack);
    current_ = stack;
    lowest_ = from;
  }

  void add_frame() {
    Frame frame;
    frame.address = state_.position.ip;
    frame.sp = state_.sp;
    frame.at = state_.at;
    frame.means = state_.means;
    frame.is_interrupted = state_.position.is_interrupted;
    frame.stack = state_.stack;
    frame.registers = state_.registers;
    frame.doubt = state_.doubt;
    trace_.frames.push_back(std::move(frame));
  }

  bool stop(std::string fault) {
    trace_.fault = std::move(fault);
    return false;
  }

  // One frame further. False at the end.
  bool step() {
    if (current_ == nullptr)
      return stop(
          fmt::format("the stack pointer {:#x} is in no stack of the task or its CPU", state_.sp.value));
    if (take_link()) return true;
    Failure failure;
    std::optional<FrameStep> found = format_.step(state_.position, reader_, failure);
    if (found && !is_in_order(*found, failure)) found.reset();
    if (found && found->kind == FrameStep::Kind::end) return finish(*found);
    std::optional<State> next;
    if (found) next = found->kind == FrameStep::Kind::call ? called(*found, failure) : saved(*found, failure);
    if (!next && !failure.is_fatal) {
      found = search();
      Failure of_search;
      if (found) next = called(*found, of_search);
      if (next) next->means = Means::scan;
      if (next) next->doubt = failure.why;
    }
    if (!next) return stop(std::move(failure.why));
    go_to(std::move(*next), *found);
    return true;
  }

  bool finish(const FrameStep& found) {
    trace_.end = End::complete;
    if (found.registers) {
      Failure ignored;
      const auto user = registers_at(*found.registers, ignored);
      // The first task has zeros there, which some architectures have for user mode.
      if (user && user->is_user() && (user->ip() != 0 || user->sp() != 0)) trace_.user = user;
    }
    return false;
  }

  void go_to(State next, const FrameStep& found) {
    const Stack* const of_frame = reader_.stack_of(found.first);
    if (of_frame != current_) reader_.visit(of_frame);
    current_ = of_frame;
    lowest_ = found.end;
    state_ = std::move(next);
    state_.position.lowest = lowest_;
    add_frame();
  }

  // What is found must be further up its stack, or on a stack that was not visited yet.
  bool is_in_order(const FrameStep& found, Failure& failure) const {
    if (found.first == found.end) return true;
    const VirtAddr ip = state_.position.ip;
    const Stack* const stack = reader_.stack_of(found.first);
    if (stack == nullptr)
      failure = {fmt::format("the frame of {:#x} leads to {:#x}, which is in no stack", ip.value,
                             found.first.value)};
    else if (stack == current_ && found.first < lowest_)
      failure = {fmt::format("the frame of {:#x} leads back to {:#x}", ip.value, found.first.value)};
    else if (stack != current_ && reader_.is_visited(stack))
      failure = {fmt::format("the frame of {:#x} leads back to the {} stack", ip.value, stack->name)};
    return failure.why.empty();
  }

  // --- calls ---

  bool is_code(VirtAddr ip, Failure& failure) const {
    if (target_.is_code(ip)) return true;
    failure = {fmt::format("the frame of {:#x} leads to {:#x}, which is no code", state_.position.ip.value,
                           ip.value)};
    return false;
  }

  std::optional<State> called(const FrameStep& found, Failure& failure) const {
    if (!is_code(found.ip, failure)) return std::nullopt;
    State next;
    next.position = {found.ip, found.fp, false};
    // Compilers put a frame's record at its lower end.
    next.stack = reader_.stack_of(found.fp);
    next.sp = next.stack == nullptr ? found.end : found.fp;
    if (next.stack == nullptr) next.stack = reader_.stack_of_pointer(found.end);
    next.at = found.at;
    next.means = Means::frame_pointer;
    return next;
  }

  // What was interrupted in a function that has no frame yet, or none at all: its caller is not in what the
  // frame pointer leads to.
  bool take_link() {
    if (!state_.registers) return false;
    const auto all = std::exchange(state_.registers, std::nullopt);
    const VirtAddr ip = state_.position.ip;
    const auto function = target_.function_of(ip);
    constexpr uint64_t kMostCode = 16384;
    if (!function || *function > ip || ip - *function > kMostCode) return false;
    std::vector<std::byte> code(ip - *function);
    if (!target_.read(*function, code).empty()) return false;
    const auto link = format_.link(code, *all);
    const auto caller = link ? saved_or(link->saved_ip, link->ip) : std::nullopt;
    // What it called itself returns into it.
    if (!caller || !follows_call(*caller) || target_.function_of(*caller - 1) == function) return false;
    const auto fp = saved_or(link->saved_fp, link->sp.value_or(state_.position.fp));
    if (!fp || leads_to(*caller)) return false;
    state_.position = {*caller, *fp, false, lowest_};
    if (link->sp) {
      state_.sp = *fp;
      state_.stack = reader_.stack_of_pointer(*fp);
    }
    state_.at = link->saved_ip;
    state_.means = Means::link_register;
    state_.doubt.clear();
    add_frame();
    return true;
  }

  // Whether the frame leads there, too: then it is whole, whatever the code looks like. Where a CPU stands at
  // an entry of the kernel, the code does not say what was interrupted.
  bool leads_to(VirtAddr caller) const {
    Failure ignored;
    const auto found = format_.step(state_.position, reader_, ignored);
    return found && found->kind == FrameStep::Kind::call && found->ip == caller;
  }

  // What was saved at `place`, or `otherwise` where nothing was; nothing where it cannot be read.
  std::optional<VirtAddr> saved_or(std::optional<VirtAddr> place, VirtAddr otherwise) const {
    if (!place) return otherwise;
    Failure ignored;
    const auto saved = reader_.word(state_.position.ip, *place, ignored);
    return saved ? std::optional(VirtAddr{*saved}) : std::nullopt;
  }

  bool follows_call(VirtAddr address) const {
    if (!target_.is_code(address)) return false;
    std::vector<std::byte> before(format_.call_size());
    return target_.read(address - before.size(), before).empty() && format_.ends_with_call(before);
  }

  // --- exceptions ---

  std::optional<arch::Registers> registers_at(VirtAddr address, Failure& failure) const {
    std::vector<std::byte> bytes(format_.registers_size());
    if (!reader_.read_registers(state_.position.ip, address, bytes, failure)) return std::nullopt;
    return format_.parse_registers(bytes);
  }

  std::optional<State> saved(const FrameStep& found, Failure& failure) const {
    State next;
    next.registers = registers_at(*found.registers, failure);
    if (!next.registers) return std::nullopt;
    next.position = {format_.strip(VirtAddr{next.registers->ip()}), VirtAddr{next.registers->fp()}, true};
    if (!is_code(next.position.ip, failure)) return std::nullopt;
    next.sp = VirtAddr{next.registers->sp()};
    next.stack = reader_.stack_of_pointer(next.sp);
    next.at = found.at;
    next.means = Means::registers;
    return next;
  }

  // --- guesses ---

  // The first frame further up the stack: a return address behind a call, and a frame pointer that leads on.
  std::optional<FrameStep> search() const {
    const VirtAddr from = std::max(lowest_, current_->first);
    for (VirtAddr at{(from.value + kWord - 1) & ~(kWord - 1)}; at < current_->end; at += kWord) {
      const auto found = format_.record_at(at, reader_);
      if (!found || found->end > current_->end || !follows_call(found->ip)) continue;
      const VirtAddr next = found->next.value_or(found->fp);
      const Stack* const stack = reader_.stack_of(next);
      if (stack == current_ ? next >= found->end : stack != nullptr && !reader_.is_visited(stack))
        return found;
    }
    return std::nullopt;
  }

  const Target& target_;
  const FrameFormat& format_;
  StackReader reader_;
  const Stack* current_ = nullptr;  // that frames are in
  VirtAddr lowest_;                 // the next one is there, or further up
  State state_;
  Trace trace_;
};

}  // namespace

Trace unwind_by_frames(const Target& target, const FrameFormat& format, std::span<const Stack> stacks,
                       const Start& start, ByteOrder order) {
  return Unwinder(target, format, stacks, order).run(start);
}

}  // namespace kvista::unwind
