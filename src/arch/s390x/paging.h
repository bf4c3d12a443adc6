// s390x page tables: what the bits of an entry mean (z/Architecture Principles of Operation, chapter 3,
// "Dynamic Address Translation"; the kernel's arch/s390/include/asm/pgtable.h). Pure functions on bits.
#pragma once

#include <optional>

#include "arch/paging.h"

namespace kvista::arch::s390x {

/// Decodes entry `raw` of `level`: 1 page table, 2 segment table, 3 to 5 region third to region first.
Entry decode_entry(uint64_t raw, unsigned level, const Paging& paging);
std::string describe_flags(uint64_t raw, unsigned level);

/// The kernel has an address space to itself, which starts at 0.
inline constexpr PagingFormat kFormat{"s390x",      Half::lower,    ByteOrder::big,
                                      decode_entry, describe_flags, nullptr};

/// 2 levels (2 GiB) to 5 (all 64 bits). Nothing for any other number.
std::optional<Paging> make_paging(uint64_t levels);

}  // namespace kvista::arch::s390x
