// The arm64 kernel's address space: Documentation/arch/arm64/memory.rst and asm/memory.h.
#pragma once

#include <cstdint>

#include "base/address.h"

namespace kvista::arch::arm64 {

inline constexpr uint16_t kElfMachine = 183;                // EM_AARCH64
inline constexpr unsigned kPhysicalBits = 52;               ///< of a physical address, at most
inline constexpr uint64_t kImageAlign = uint64_t{2} << 20;  ///< MIN_KIMG_ALIGN: of where the image is loaded
/// EFI_KIMG_ALIGN: KASLR moves virtual addresses with the physical ones within kImageAlign.
inline constexpr uint64_t kKaslrAlign = uint64_t{64} << 10;
inline constexpr uint64_t kMostImage = uint64_t{128} << 20;

/// _PAGE_OFFSET(bits): where what the kernel's page tables map starts.
constexpr VirtAddr first_address(uint64_t va_bits) {
  return {va_bits >= 64 ? 0 : ~uint64_t{0} << va_bits};
}

/// Since 5.4 (14c127c957c1) the direct map is the lower half of the kernel's addresses, and the image is in
/// the upper one; before it was the other way round. By where the image is: no kernel says it.
constexpr bool has_direct_map_below(VirtAddr in_image, uint64_t va_bits) {
  return (in_image.value >> (va_bits - 1) & 1) != 0;
}

/// Bytes that the direct map can have: half of the addresses until 5.4, and since then all but the upper half
/// of those that there are on every CPU (VA_BITS_MIN: 48 bits, or 47 with pages of 16 KiB), which are the
/// image's even where there are more (PAGE_END).
constexpr uint64_t direct_map_bytes(VirtAddr in_image, uint64_t va_bits, uint64_t page_size) {
  if (!has_direct_map_below(in_image, va_bits)) return uint64_t{1} << (va_bits - 1);
  constexpr uint64_t k16KiB = 16384;
  const uint64_t least_bits = va_bits <= 48 ? va_bits : page_size == k16KiB ? 47 : 48;
  return (uint64_t{1} << va_bits) - (uint64_t{1} << (least_bits - 1));
}

/// SECTION_SIZE_BITS of asm/sparsemem.h for kernels whose note lacks it: 30 until f0b13ee23241 (5.12), then
/// 27 with pages of 4 and 16 KiB.
inline constexpr unsigned kOldSectionSizeBits = 30;

}  // namespace kvista::arch::arm64
