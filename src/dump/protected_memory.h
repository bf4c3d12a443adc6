// Memory that a dump holds whatever its struct pages say.
#pragma once

#include <vector>

#include "base/address.h"
#include "kernel/session.h"
#include "pages/memory_map.h"

namespace kvista::dump {

/// The kernel image, less what is given back after boot, the memory map, the kernel's page tables, and the
/// per-CPU memory that it booted with: sorted and disjoint. What cannot be found is left out.
std::vector<PhysRange> protected_memory(const kernel::Session& session, const pages::MemoryMap& map);

}  // namespace kvista::dump
