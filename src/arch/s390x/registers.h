// The registers of an s390x CPU: as the kernel puts them on a stack (struct pt_regs), and as notes of a dump
// have them. Pure functions on bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "arch/registers.h"

namespace kvista::arch::s390x {

/// In the order of struct pt_regs from its member psw on (arch/s390/include/asm/ptrace.h), the first 18 of
/// which are those of notes.
enum class Reg : uint8_t {
  psw_mask = 0,
  psw_addr,
  r0,
  r1,
  r6 = 8,
  r14 = 16,  ///< in which a call leaves where it returns to
  r15,       ///< the stack pointer, by which frames are found, too
  orig_gpr2,
  int_code,
  int_parm_long
};
inline constexpr size_t kRegCount = 21;

extern const RegisterSet kRegisterSet;

/// Bytes of a struct pt_regs from its member psw on, as far as registers are in it, and of a note
/// NT_PRSTATUS.
inline constexpr uint64_t kRegistersSize = kRegCount * 8;
inline constexpr uint64_t kPrStatusSize = 336;

/// A struct pt_regs, from its member psw on. Nothing where there are too few bytes.
std::optional<Registers> parse_registers(std::span<const std::byte> bytes);
/// Those of a note NT_PRSTATUS (struct elf_prstatus), the kernel's or QEMU's. Nothing where it is too short.
std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor);

/// Whether code ends with a call: BRASL, BRAS or BASR that leaves its address in r14.
bool ends_with_call(std::span<const std::byte> code);

/// Where a frame has what leads on from it (struct stack_frame of arch/s390/include/asm/stacktrace.h).
struct FrameLayout {
  uint64_t return_address = 136;  ///< r14, which what this frame's function called saves there
  uint64_t back_chain = 152;
};

/// What a function has done to its stack.
struct Prologue {
  int64_t size = 0;                 ///< of its frame: by so much is r15 lower than it was
  bool has_back_chain = false;      ///< the frame leads to the caller's
  bool has_return_address = false;  ///< r14 is in the caller's frame
};
/// By the instructions from a function's start up to where it was interrupted.
Prologue prologue_of(std::span<const std::byte> code, const FrameLayout& layout);

}  // namespace kvista::arch::s390x
