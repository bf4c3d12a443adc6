// RISC-V page tables of 64-bit machines: what the bits of an entry mean (Privileged Architecture, "Sv39" to
// "Sv57", Svnapot, Svpbmt; the kernel's arch/riscv/include/asm/pgtable-64.h and pgtable-bits.h). Pure
// functions on bits.
#pragma once

#include <optional>

#include "arch/paging.h"

namespace kvista::arch::riscv64 {

/// Decodes entry `raw` of `level`.
Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging);
std::string describe_flags(uint64_t raw, unsigned level);

/// One root maps the lower and the upper addresses. Pointers carry nothing beside the address: pointer
/// masking (Ssnpm) is for user mode.
inline constexpr PagingFormat kFormat{"riscv64",    Half::both,     ByteOrder::little,
                                      decode_entry, describe_flags, nullptr};

/// Pages of 4 KiB, and 39, 48 or 57 bits of address. Nothing for what the architecture has not.
std::optional<Paging> make_paging(uint64_t va_bits);

/// The register satp: where the top page table is, and of how many bits the addresses are.
struct Satp {
  PhysAddr root;
  uint64_t va_bits = 0;
};
/// Nothing for a mode that the kernel does not use: none (no translation), or an unknown one.
std::optional<Satp> decode_satp(uint64_t raw);

}  // namespace kvista::arch::riscv64
