// The registers of an arm64 CPU: as the kernel puts them on a stack (struct pt_regs), and as notes of a dump
// have them. Pure functions on bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "arch/registers.h"

namespace kvista::arch::arm64 {

/// In the order of struct user_pt_regs (arch/arm64/include/uapi/asm/ptrace.h), which never changes and is
/// that of notes, too; x0 to x30 by their numbers. Behind it is what struct pt_regs adds.
enum class Reg : uint8_t {
  x0 = 0,
  x19 = 19,
  x28 = 28,
  x29 = 29,
  x30 = 30,
  sp,
  pc,
  pstate,
  orig_x0,
  syscallno
};
inline constexpr size_t kRegCount = 36;

/// Names for people, as crash writes them; which is which.
extern const RegisterSet kRegisterSet;

/// Bytes of struct user_pt_regs, of what is read of struct pt_regs, and of a note NT_PRSTATUS.
inline constexpr uint64_t kUserRegistersSize = 272;
inline constexpr uint64_t kRegistersSize = 288;
inline constexpr uint64_t kPrStatusSize = 392;

/// The first kRegistersSize bytes of a struct pt_regs: the same since 35d0e6fb4d21 (4.15). Nothing where
/// there are too few.
std::optional<Registers> parse_registers(std::span<const std::byte> bytes);
/// Those of a note NT_PRSTATUS (struct elf_prstatus), the kernel's or QEMU's. Nothing where it is too short.
std::optional<Registers> parse_prstatus(std::span<const std::byte> descriptor);

/// The address without the signature that a return address carries (pointer authentication): bits of `mask`,
/// which in an address of the kernel are all set (ptrauth_strip_kernel_insn_pac() of asm/pointer_auth.h).
constexpr uint64_t strip_signature(uint64_t address, uint64_t mask) {
  return (address >> 55 & 1) != 0 ? address | mask : address;
}

/// Whether an instruction calls: BL, BLR, and BLR that authenticates.
constexpr bool is_call(uint32_t instruction) {
  return (instruction & 0xfc000000) == 0x94000000 || (instruction & 0xfffffc1f) == 0xd63f0000 ||
         (instruction & 0xfefff800) == 0xd63f0800;
}
/// Whether a function that was entered at the start of `code`, and stopped at its end, has its frame record
/// by then: a function that calls none never makes one. `code` is a run of instructions in their order.
bool has_frame_record(std::span<const std::byte> code);

}  // namespace kvista::arch::arm64
