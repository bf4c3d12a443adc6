// The buddy allocator's own count of free pages: the check on the census.
#pragma once

#include <cstdint>

#include "machine/machine.h"

namespace kvista::pages {

/// Sum of free_area[order].nr_free << order over the zones of all nodes, in pages. Throws NotFound with the
/// reason where the zones cannot be read.
uint64_t count_free_lists(machine::Machine& machine);

}  // namespace kvista::pages
