// The registers of a riscv64 CPU: as the kernel puts them on a stack (struct pt_regs), and as notes of a dump
// have them. Pure functions on bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "arch/registers.h"

namespace kvista::arch::riscv64 {

/// In the order of struct pt_regs (arch/riscv/include/asm/ptrace.h), the first 32 of which are those of
/// notes.
enum class Reg : uint8_t {
  epc = 0,
  ra,
  sp,
  gp,
  tp,
  s0 = 8,
  s1,
  s2 = 18,
  s11 = 27,
  t6 = 31,
  status,
  badaddr,
  cause,
  orig_a0
};
inline constexpr size_t kRegCount = 36;

extern const RegisterSet kRegisterSet;

/// Bytes of a struct pt_regs, and of a note NT_PRSTATUS.
inline constexpr uint64_t kRegistersSize = kRegCount * 8;
inline constexpr uint64_t kPrStatusSize = 376;

/// A struct pt_regs. Nothing where there are too few bytes.
std::optional<Registers> parse_registers(std::span<const std::byte> bytes);
/// Those of a note NT_PRSTATUS (struct elf_prstatus), the kernel's or QEMU's. Nothing where it is too short.
std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor);

/// Whether code ends with a call: JAL or JALR to ra, or its short form.
bool ends_with_call(std::span<const std::byte> code);

/// What a function has done to its stack.
struct Prologue {
  bool has_return_address = false;  ///< ra is on it
  bool has_frame_pointer = false;   ///< s0 is its own
};
/// By the instructions from a function's start up to where it was interrupted.
Prologue prologue_of(std::span<const std::byte> code);

}  // namespace kvista::arch::riscv64
