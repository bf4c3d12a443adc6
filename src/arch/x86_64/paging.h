// x86_64 page tables: what the bits of an entry mean (Intel SDM volume 3, chapter 4; the kernel's
// arch/x86/include/asm/pgtable_types.h and pgtable_64.h). Pure functions on bits.
#pragma once

#include "arch/paging.h"

namespace kvista::arch::x86_64 {

inline constexpr unsigned kPageShift = 12;
inline constexpr uint64_t kPageSize = uint64_t{1} << kPageShift;

/// Decodes entry `raw` of `level`. Frame numbers of PROT_NONE entries are stored inverted since the L1TF
/// mitigation (6b28baca9b1f, 4.19) and given here as they are meant.
Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging);
std::string describe_flags(uint64_t raw, unsigned level);

inline constexpr PagingFormat kFormat{"x86_64",     Half::both,     ByteOrder::little,
                                      decode_entry, describe_flags, nullptr};

/// `levels` is 4 or 5; `sme_mask` the memory encryption bit that AMD SME sets in entries, or 0.
Paging make_paging(unsigned levels, uint64_t sme_mask = 0);

}  // namespace kvista::arch::x86_64
