// The riscv64 kernel's address space: Documentation/arch/riscv/vm-layout.rst and asm/pgtable.h.
#pragma once

#include <cstdint>

#include "base/address.h"

namespace kvista::arch::riscv64 {

inline constexpr uint16_t kElfMachine = 243;                // EM_RISCV
inline constexpr unsigned kPhysicalBits = 56;               ///< of a physical address, at most
inline constexpr uint64_t kPageSize = 4096;                 ///< there are no others
inline constexpr uint64_t kImageAlign = uint64_t{2} << 20;  ///< PMD_SIZE: setup_vm() insists on it
/// PMD_SIZE: KASLR moves the image by a multiple of it (setup_vm(), since 84fe419dc757 of 6.6).
inline constexpr uint64_t kKaslrAlign = uint64_t{2} << 20;
/// The image's early page tables are one for 1 GiB: alloc_pmd_early().
inline constexpr uint64_t kMostImage = uint64_t{1} << 30;

/// KERNEL_LINK_ADDR: where the image starts without KASLR, since it left the direct map (2bfc6cd81bd1, 5.13).
inline constexpr VirtAddr kLinkAddress{0xffffffff80000000};
/// Modules are below the image, within this of its end: MODULES_VADDR.
inline constexpr uint64_t kModulesReach = uint64_t{2} << 30;

/// KERN_VIRT_SIZE: bytes that the direct map can have, a quarter of all addresses.
constexpr uint64_t direct_map_bytes(uint64_t va_bits) {
  return uint64_t{1} << (va_bits - 2);
}

/// VMEMMAP_SIZE: struct pages for half of the addresses, as if each had `page_struct_shift` bits of size.
constexpr uint64_t memory_map_bytes(uint64_t va_bits, unsigned page_struct_shift) {
  constexpr unsigned kPageShift = 12;
  return uint64_t{1} << (va_bits - kPageShift - 1 + page_struct_shift);
}

/// SECTION_SIZE_BITS of asm/sparsemem.h for kernels whose note lacks it (before 5.13).
inline constexpr unsigned kSectionSizeBits = 27;

}  // namespace kvista::arch::riscv64
