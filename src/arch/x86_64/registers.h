// The registers of a CPU: as the kernel puts them on a stack (struct pt_regs), and as notes of a dump have
// them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "arch/registers.h"

namespace kvista::arch::x86_64 {

/// In the order of struct pt_regs (arch/x86/include/asm/ptrace.h), which is that of ELF's notes too.
enum class Reg : uint8_t {
  r15,
  r14,
  r13,
  r12,
  bp,
  bx,
  r11,
  r10,
  r9,
  r8,
  ax,
  cx,
  dx,
  si,
  di,
  orig_ax,
  ip,
  cs,
  flags,
  sp,
  ss,
};
inline constexpr size_t kRegCount = 21;
/// Bytes of struct pt_regs, and where in it the part is that the CPU itself pushes: ip to ss.
inline constexpr uint64_t kRegistersSize = kRegCount * 8;
inline constexpr uint64_t kInterruptFrameOffset = static_cast<uint64_t>(Reg::ip) * 8;

struct Registers {
  std::array<uint64_t, kRegCount> values{};

  uint64_t operator[](Reg reg) const { return values.at(static_cast<size_t>(reg)); }
  uint64_t& operator[](Reg reg) { return values.at(static_cast<size_t>(reg)); }
  /// Whether they are of code that is not the kernel's.
  bool is_user() const { return ((*this)[Reg::cs] & 3) == 3; }
  /// As registers of any architecture, all of them known.
  operator arch::Registers() const;
  friend bool operator==(const Registers&, const Registers&) = default;
};

/// Those of any architecture, where they are of this one.
Registers own_registers(const arch::Registers& registers);
/// As registers of any architecture: of these only the last part is known, from ip on.
arch::Registers interrupt_frame(const Registers& registers);
extern const RegisterSet kRegisterSet;

/// "RIP", "R15", "ORIG_RAX": as crash writes it.
std::string_view name_of(Reg reg);

/// A struct pt_regs. Nothing where there are too few bytes.
std::optional<Registers> parse_registers(std::span<const std::byte> bytes);
/// Of the last part of a struct pt_regs, from ip on; the others are zeros.
std::optional<Registers> parse_interrupt_frame(std::span<const std::byte> bytes);
/// Those of a note NT_PRSTATUS (struct elf_prstatus). Nothing where it is too short.
std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor);
/// Those of QEMU's own note of a CPU (QEMUCPUState). Nothing where it is too short, or of another version.
std::optional<Registers> parse_qemu_registers(std::span<const std::byte> descriptor);

/// Bytes of a note NT_PRSTATUS.
inline constexpr uint64_t kPrStatusSize = 336;

}  // namespace kvista::arch::x86_64
