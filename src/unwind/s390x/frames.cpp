#include "unwind/s390x/frames.h"

#include <fmt/format.h>

namespace kvista::unwind::s390x {
namespace {

using arch::s390x::Reg;

constexpr uint64_t kWord = StackReader::kWord;

}  // namespace

size_t Frames::registers_size() const {
  return arch::s390x::kRegistersSize;
}

std::optional<arch::Registers> Frames::parse_registers(std::span<const std::byte> bytes) const {
  return arch::s390x::parse_registers(bytes);
}

bool Frames::ends_with_call(std::span<const std::byte> code) const {
  return arch::s390x::ends_with_call(code);
}

// Functions that call none leave r14 where it is, also where they make a frame.
std::optional<FrameLink> Frames::link(std::span<const std::byte> code,
                                      const arch::Registers& registers) const {
  const auto prologue = arch::s390x::prologue_of(code, facts_.layout);
  if (prologue.has_back_chain && prologue.has_return_address) return std::nullopt;
  const VirtAddr frame{registers.fp()};
  const VirtAddr caller = frame + static_cast<uint64_t>(prologue.size);
  FrameLink link{VirtAddr{registers[Reg::r14]}};
  link.sp = caller;
  if (prologue.has_back_chain) link.saved_fp = frame + facts_.layout.back_chain;
  if (prologue.has_return_address) link.saved_ip = caller + facts_.layout.return_address;
  return link;
}

// Frames can overlap, because what a frame does not need of its lower end is another's: nothing but the first
// word is said to be this one's.
std::optional<FrameStep> Frames::frame_at(const FramePosition& position, VirtAddr frame,
                                          const StackReader& reader, Failure& failure) const {
  const VirtAddr at = frame + facts_.layout.return_address;
  const auto address = reader.word(position.ip, at, failure);
  if (!address) return std::nullopt;
  return FrameStep{FrameStep::Kind::call, VirtAddr{*address}, frame, at, frame, frame + kWord};
}

std::optional<FrameStep> Frames::record_at(VirtAddr at, const StackReader& reader) const {
  Failure ignored;
  auto found = frame_at({}, at, reader, ignored);
  const auto chain = found ? reader.word({}, at + facts_.layout.back_chain, ignored) : std::nullopt;
  if (!chain || *chain % kWord != 0) return std::nullopt;
  found->next = *chain == 0 ? at + facts_.frame_size : VirtAddr{*chain};
  return found;
}

// The registers with which user mode entered the kernel are above all frames of a stack: a task's
// (task_pt_regs()) or, of machine checks and restarts, a CPU's. There are such of a thread of the kernel,
// too, and these lead nowhere.
std::optional<FrameStep> Frames::entry(const FramePosition& position, const StackReader& reader,
                                       Failure& failure) const {
  const VirtAddr saved = position.fp + facts_.frame_size;
  const VirtAddr registers = saved + facts_.psw_in_saved;
  const auto mask = reader.word(position.ip, registers, failure);
  if (!mask) return std::nullopt;
  FrameStep step{FrameStep::Kind::registers, {}, {}, registers + kWord, saved, saved + facts_.saved_size};
  step.registers = registers;
  arch::Registers psw{&arch::s390x::kRegisterSet};
  psw.put(Reg::psw_mask, *mask);
  const Stack* const stack = reader.stack_of(saved);
  const bool is_on_top = stack != nullptr && stack->end == step.end;
  if (psw.is_user() && !is_on_top) {
    failure = {fmt::format("the frame of {:#x} leads to registers of user mode at {:#x}, where none can be",
                           position.ip.value, registers.value)};
    return std::nullopt;
  }
  if (psw.is_user() || (is_on_top && stack->kind == StackKind::task)) step.kind = FrameStep::Kind::end;
  return step;
}

// unwind_next_frame() of arch/s390/kernel/unwind_bc.c.
std::optional<FrameStep> Frames::step(const FramePosition& position, const StackReader& reader,
                                      Failure& failure) const {
  const VirtAddr frame = position.fp;
  const auto chain = reader.word(position.ip, frame + facts_.layout.back_chain, failure);
  if (!chain) return std::nullopt;
  if (*chain == 0) return entry(position, reader, failure);
  if (*chain % kWord == 0 && *chain != frame.value)
    return frame_at(position, VirtAddr{*chain}, reader, failure);
  failure = {fmt::format("the frame of {:#x} leads {} {:#x}{}", position.ip.value,
                         *chain == frame.value ? "back to" : "to", *chain,
                         *chain == frame.value ? "" : ", which is no multiple of 8")};
  return std::nullopt;
}

}  // namespace kvista::unwind::s390x
