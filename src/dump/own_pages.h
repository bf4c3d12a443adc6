// The pages of this process: a dump of the running kernel leaves them out.
#pragma once

#include <vector>

#include "base/address.h"

namespace kvista::dump {

/// The frames of this process's memory, sorted; empty where the kernel does not tell (/proc/self/pagemap
/// shows frame numbers to CAP_SYS_ADMIN alone).
std::vector<Pfn> own_pages();

}  // namespace kvista::dump
