// Finds the kallsyms tables of a kernel whose VMCOREINFO does not say where they are (before 6.0).
#pragma once

#include <vector>

#include "decode/kallsyms.h"

namespace kvista::decode {

/// Looks through `image`, the kernel image's mapping from its text on, for the token index, and finds the
/// other tables by the order that scripts/kallsyms.c wrote them in until 6.1: offsets (or addresses),
/// relative base, number, names, markers, token table, token index. Every such place, 8 at most: tables are
/// as plausible as their shape, and class Kallsyms proves them by a symbol. Samples say where to look first.
/// `read` is called from up to `threads` threads.
std::vector<KallsymsTables> search_kallsyms(const VirtReader& read, VirtRange image, ByteOrder order,
                                            unsigned threads = 1);

}  // namespace kvista::decode
