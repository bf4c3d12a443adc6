// arm64 page tables: what the bits of an entry mean (Arm ARM, D8; the kernel's
// arch/arm64/include/asm/pgtable-hwdef.h and pgtable-prot.h). Pure functions on bits.
#pragma once

#include <optional>

#include "arch/paging.h"

namespace kvista::arch::arm64 {

/// Decodes entry `raw` of `level`.
Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging);
std::string describe_flags(uint64_t raw, unsigned level);
/// The address of a kernel pointer that has a tag in its top byte (KASAN, MTE): 0xf0 to 0xff
/// (arch/arm64/include/asm/mte-kasan.h). Other values there are no tags: those of LIST_POISON1 would else
/// lead to memory.
VirtAddr strip(VirtAddr pointer, const Paging& paging);

/// The kernel's root, TTBR1, maps the upper addresses only.
inline constexpr PagingFormat kFormat{"arm64",      Half::upper,    ByteOrder::little,
                                      decode_entry, describe_flags, strip};

/// Pages of 4, 16 or 64 KiB, and 36 to 52 bits of address, of which the kernel was built for `built_bits`.
/// Nothing for what the architecture has not.
std::optional<Paging> make_paging(uint64_t page_size, uint64_t va_bits, uint64_t built_bits);
inline std::optional<Paging> make_paging(uint64_t page_size, uint64_t va_bits) {
  return make_paging(page_size, va_bits, va_bits);
}

}  // namespace kvista::arch::arm64
