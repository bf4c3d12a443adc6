// The value of an enumerator.
#pragma once

#include "debuginfo/dwarf_handle.h"

namespace kvista::debuginfo {

/// A number whose sign its form says: compilers use a signed form for negative ones alone, or for all of a
/// signed enumeration. Sign-extended; 0 where it has none.
uint64_t enumerator_value(Dwarf_Die& die);
/// Whether the enumeration has negative values: by its underlying type, its own encoding, or its enumerators.
bool is_signed_enumeration(Dwarf_Die& die);

}  // namespace kvista::debuginfo
