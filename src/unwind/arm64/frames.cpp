#include "unwind/arm64/frames.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "arch/arm64/registers.h"

namespace kvista::unwind::arm64 {
namespace {

using arch::arm64::Reg;

constexpr uint64_t kWord = StackReader::kWord;
constexpr uint64_t kRecord = 2 * kWord;
// FRAME_META_TYPE_FINAL and FRAME_META_TYPE_PT_REGS of asm/stacktrace/frame.h.
constexpr uint64_t kTypeFinal = 1;
constexpr uint64_t kTypeRegisters = 2;

uint64_t offset_of(Reg reg) {
  return static_cast<uint64_t>(reg) * kWord;
}

// A word of a stack; nothing where it is in none, or not there.
std::optional<uint64_t> word_at(VirtAddr at, const StackReader& reader) {
  Failure ignored;
  return reader.word({}, at, ignored);
}

}  // namespace

VirtAddr Frames::strip(VirtAddr address) const {
  return {arch::arm64::strip_signature(address.value, facts_.signature_mask)};
}

size_t Frames::registers_size() const {
  return arch::arm64::kRegistersSize;
}

std::optional<arch::Registers> Frames::parse_registers(std::span<const std::byte> bytes) const {
  return arch::arm64::parse_registers(bytes);
}

bool Frames::ends_with_call(std::span<const std::byte> code) const {
  return code.size() >= call_size() &&
         arch::arm64::is_call(load<uint32_t>(&code[code.size() - call_size()], ByteOrder::little));
}

std::optional<FrameLink> Frames::link(std::span<const std::byte> code,
                                      const arch::Registers& registers) const {
  if (arch::arm64::has_frame_record(code)) return std::nullopt;
  return FrameLink{strip(VirtAddr{registers[Reg::x30]})};
}

std::optional<FrameStep> Frames::record_at(VirtAddr at, const StackReader& reader) const {
  const auto fp = word_at(at, reader);
  const auto address = word_at(at + kWord, reader);
  if (!fp || !address || *fp % kWord != 0) return std::nullopt;
  return FrameStep{FrameStep::Kind::call, strip(VirtAddr{*address}), VirtAddr{*fp}, at + kWord, at,
                   at + kRecord};
}

bool Frames::is_beginning(const FramePosition& position) const {
  return std::any_of(facts_.beginnings.begin(), facts_.beginnings.end(),
                     [&](const VirtRange& code) { return code.contains(position.lookup_address()); });
}

// The registers with which a task entered the kernel are above all its frames (task_pt_regs()), with a record
// that ends them: of a thread of the kernel since 7d7b720a4b80 (5.14), with which __primary_switched() and
// __secondary_switched() make one, too.
bool Frames::is_last(VirtAddr record, const StackReader& reader) const {
  const Stack* const stack = reader.stack_of(record);
  return stack != nullptr && stack->kind == StackKind::task && facts_.saved_size != 0 &&
         stack->end - record == facts_.saved_size - facts_.record_in_saved;
}

FrameStep Frames::last(VirtAddr record) const {
  FrameStep step{FrameStep::Kind::end, {}, {}, {}, record, record + kRecord};
  step.registers = record - facts_.record_in_saved;
  return step;
}

FrameStep Frames::saved(VirtAddr record) const {
  const VirtAddr first = record - facts_.record_in_saved;
  FrameStep step{FrameStep::Kind::registers, {},    {},
                 first + offset_of(Reg::pc), first, first + facts_.saved_size};
  step.registers = first;
  return step;
}

// Until c2c6b27b5aa1 (6.13) the record in saved registers is of the code that was interrupted, and looks like
// any other (73267498013d, 4.15). That the registers around it say the same, tells it.
bool Frames::is_saved(VirtAddr record, uint64_t fp, uint64_t address, const StackReader& reader) const {
  if (facts_.saved_size == 0) return false;
  const VirtAddr first = record - facts_.record_in_saved;
  return word_at(first + offset_of(Reg::pc), reader) == address &&
         word_at(first + offset_of(Reg::x29), reader) == fp;
}

// Since then it is zeros, with a type behind.
std::optional<FrameStep> Frames::typed(const FramePosition& position, const StackReader& reader,
                                       Failure& failure) const {
  const auto type = reader.word(position.ip, position.fp + kRecord, failure);
  if (!type) return std::nullopt;
  if (*type == kTypeRegisters) return saved(position.fp);
  failure = {
      *type == kTypeFinal
          ? fmt::format("the frame of {:#x} leads to a last record at {:#x}, where none can be",
                        position.ip.value, position.fp.value)
          : fmt::format("the frame of {:#x} leads to a record at {:#x} of type {}, which makes no sense",
                        position.ip.value, position.fp.value, *type)};
  return std::nullopt;
}

std::optional<FrameStep> Frames::step(const FramePosition& position, const StackReader& reader,
                                      Failure& failure) const {
  const VirtAddr record = position.fp;
  if (record.value == 0 && is_beginning(position)) return FrameStep{FrameStep::Kind::end};
  if (record.value % kWord != 0) {
    failure = {fmt::format("the frame of {:#x} leads to {:#x}, which is no multiple of 8", position.ip.value,
                           record.value)};
    return std::nullopt;
  }
  const auto fp = reader.word(position.ip, record, failure);
  const auto address = fp ? reader.word(position.ip, record + kWord, failure) : std::nullopt;
  if (!address) return std::nullopt;
  const bool is_zeros = *fp == 0 && *address == 0;
  if (is_zeros && is_last(record, reader)) return last(record);
  if (is_zeros && facts_.has_types) return typed(position, reader, failure);
  // Where the first code of a CPU, or of a thread until 5.13, kept no record of what called it.
  if (*fp == 0 && is_beginning(position))
    return FrameStep{FrameStep::Kind::end, {}, {}, {}, record, record + kRecord};
  if (is_saved(record, *fp, *address, reader)) return saved(record);
  return FrameStep{FrameStep::Kind::call, strip(VirtAddr{*address}), VirtAddr{*fp}, record + kWord, record,
                   record + kRecord};
}

}  // namespace kvista::unwind::arm64
