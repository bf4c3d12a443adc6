#include "unwind/x86_64/orc_walk.h"

#include <fmt/format.h>

namespace kvista::unwind {
namespace {

using arch::x86_64::OrcBase;
using arch::x86_64::OrcEntry;
using arch::x86_64::OrcType;
using arch::x86_64::Reg;
using arch::x86_64::Registers;

constexpr uint64_t kWord = StackReader::kWord;

bool needs_bp(const OrcEntry& entry) {
  return entry.sp_base == OrcBase::bp || entry.sp_base == OrcBase::bp_indirect ||
         entry.bp_base == OrcBase::bp;
}

}  // namespace

std::optional<uint64_t> OrcWalk::word(VirtAddr address, Failure& failure) const {
  return reader_.word(state_.ip, address, failure);
}

std::optional<uint64_t> OrcWalk::base_register(Reg reg, Failure& failure) const {
  if (state_.all) return (*state_.all)[reg];
  failure = {fmt::format("the frame of {:#x} is found by {}, which is not known", state_.ip.value,
                         arch::x86_64::name_of(reg))};
  return std::nullopt;
}

std::optional<uint64_t> OrcWalk::frame_base(Failure& failure) const {
  if (!state_.bp)
    failure = {fmt::format("the frame of {:#x} is found by RBP, which is not known", state_.ip.value)};
  return state_.bp;
}

// Whether a frame may follow the one that there is: further up on the same stack, or on one that was not
// visited yet.
bool OrcWalk::follows(const OrcState& next, Failure& failure) {
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

bool OrcWalk::is_kernel_code(const OrcState& next, Failure& failure) const {
  if (next.saved && next.saved->is_user()) return true;
  if (target_.is_code(next.ip)) return true;
  failure = {
      fmt::format("the frame of {:#x} leads to {:#x}, which is no code", state_.ip.value, next.ip.value)};
  return false;
}

// The registers at an address: all, or only those that the CPU pushes.
std::optional<Registers> OrcWalk::registers_at(VirtAddr address, bool are_all, Failure& failure) const {
  std::array<std::byte, arch::x86_64::kRegistersSize> bytes{};
  const auto wanted =
      are_all ? std::span(bytes) : std::span(bytes).subspan(arch::x86_64::kInterruptFrameOffset);
  if (!reader_.read_registers(state_.ip, address, wanted, failure)) return std::nullopt;
  return are_all ? arch::x86_64::parse_registers(wanted) : arch::x86_64::parse_interrupt_frame(wanted);
}

// --- ORC: arch/x86/kernel/unwind_orc.c, unwind_next_frame() ---

std::optional<uint64_t> OrcWalk::caller_sp(const OrcEntry& entry, Failure& failure) const {
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

bool OrcWalk::find_bp(const OrcEntry& entry, VirtAddr caller_sp, OrcState& next, Failure& failure) const {
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

bool OrcWalk::take_registers(VirtAddr address, bool are_all, OrcState& next, Failure& failure) const {
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

// A probe's int3 (kprobes), or that of code that is being patched, stands in the place of an instruction,
// at which the stack still is. The byte tells, where the handler has not changed ip yet.
bool OrcWalk::is_behind_breakpoint(VirtAddr ip) const {
  constexpr std::byte kInt3{0xcc};
  std::array<std::byte, 1> before{};
  return target_.is_breakpoint_entry(state_.ip - 1) &&
         target_.function_of(ip) == target_.function_of(ip - 1) && target_.read(ip - 1, before).empty() &&
         before[0] == kInt3;
}

std::optional<OrcState> OrcWalk::by_orc(const OrcEntry& entry, Failure& failure) {
  const auto sp = caller_sp(entry, failure);
  if (!sp) return std::nullopt;
  OrcState next = state_;
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

}  // namespace kvista::unwind
