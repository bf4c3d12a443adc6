#include "unwind/riscv64/frames.h"

#include <fmt/format.h>

#include <algorithm>

#include "arch/riscv64/registers.h"

namespace kvista::unwind::riscv64 {
namespace {

using arch::riscv64::Reg;

constexpr uint64_t kWord = StackReader::kWord;
constexpr uint64_t kRecord = 2 * kWord;

bool holds(const std::vector<VirtRange>& ranges, VirtAddr address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const VirtRange& range) { return range.contains(address); });
}

}  // namespace

size_t Frames::registers_size() const {
  return arch::riscv64::kRegistersSize;
}

std::optional<arch::Registers> Frames::parse_registers(std::span<const std::byte> bytes) const {
  return arch::riscv64::parse_registers(bytes);
}

bool Frames::ends_with_call(std::span<const std::byte> code) const {
  return arch::riscv64::ends_with_call(code);
}

// Functions that call none keep a frame pointer, too, and then only this is on the stack.
std::optional<FrameLink> Frames::link(std::span<const std::byte> code,
                                      const arch::Registers& registers) const {
  const arch::riscv64::Prologue prologue = arch::riscv64::prologue_of(code);
  if (prologue.has_frame_pointer && prologue.has_return_address) return std::nullopt;
  FrameLink link{VirtAddr{registers[Reg::ra]}, {}};
  if (prologue.has_frame_pointer) link.saved_fp = VirtAddr{registers.fp() - kWord};
  return link;
}

std::optional<FrameStep> Frames::record_at(VirtAddr at, const StackReader& reader) const {
  Failure ignored;
  const auto fp = reader.word({}, at, ignored);
  const auto address = fp ? reader.word({}, at + kWord, ignored) : std::nullopt;
  if (!address || *fp % kWord != 0) return std::nullopt;
  return FrameStep{FrameStep::Kind::call, VirtAddr{*address}, VirtAddr{*fp}, at + kWord, at, at + kRecord};
}

// A CPU that stands in an entry may not have saved them yet. Those of user mode are at the top of the stack,
// and others are where the stack pointer among them was.
bool Frames::has_saved(const FramePosition& position, const StackReader& reader) const {
  if (!position.is_interrupted) return true;
  const VirtAddr end = position.lowest + facts_.saved_size;
  Failure ignored;
  const auto sp = reader.word(position.ip, position.lowest + static_cast<uint64_t>(Reg::sp) * kWord, ignored);
  const Stack* const stack = reader.stack_of(position.lowest);
  return sp == end.value || (stack != nullptr && stack->end == end);
}

// walk_stackframe() of arch/riscv/kernel/stacktrace.c. The entry's callee has its frame right below what was
// saved.
std::optional<FrameStep> Frames::step(const FramePosition& position, const StackReader& reader,
                                      Failure& failure) const {
  if (holds(facts_.entries, position.lookup_address()) && has_saved(position, reader)) {
    const VirtAddr first = position.lowest;
    FrameStep step{FrameStep::Kind::registers, {}, {}, first, first, first + facts_.saved_size};
    step.registers = first;
    const auto status = reader.word(position.ip, first + static_cast<uint64_t>(Reg::status) * kWord, failure);
    if (!status) return std::nullopt;
    arch::Registers saved{&arch::riscv64::kRegisterSet};
    saved.put(Reg::status, *status);
    if (saved.is_user()) step.kind = FrameStep::Kind::end;
    return step;
  }
  if (holds(facts_.beginnings, position.lookup_address())) return FrameStep{FrameStep::Kind::end};
  if (position.fp.value % kWord != 0 || position.fp.value < kRecord) {
    failure = {fmt::format("the frame of {:#x} leads to {:#x}, which makes no sense", position.ip.value,
                           position.fp.value)};
    return std::nullopt;
  }
  const VirtAddr first = position.fp - kRecord;
  const auto fp = reader.word(position.ip, first, failure);
  const auto address = fp ? reader.word(position.ip, first + kWord, failure) : std::nullopt;
  if (!address) return std::nullopt;
  return FrameStep{
      FrameStep::Kind::call, VirtAddr{*address}, VirtAddr{*fp}, first + kWord, first, position.fp};
}

}  // namespace kvista::unwind::riscv64
