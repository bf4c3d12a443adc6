// Finds the kallsyms tables of a kernel whose VMCOREINFO does not say where they are (before 6.0).
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "decode/kallsyms.h"

namespace kvista::decode {

/// The end of the kernel image by the tables found at a place, if they are that kernel's.
using KernelImageEnd = std::function<std::optional<VirtAddr>(const KallsymsTables&)>;

/// Looks through `image`, the kernel image's mapping from its text on, for the token index, and finds the
/// other tables by the order that scripts/kallsyms.c wrote them in until 6.1: offsets (or addresses),
/// relative base, number, names, markers, token table, token index. Every such place, 8 at most: tables are
/// as plausible as their shape, and class Kallsyms proves them by a symbol.
/// Where `end_of` is asked of such a place and gives an address, what is from there on is not looked through.
std::vector<KallsymsTables> search_kallsyms(const VirtReader& read, VirtRange image, ByteOrder order,
                                            const KernelImageEnd& end_of = {});

}  // namespace kvista::decode
