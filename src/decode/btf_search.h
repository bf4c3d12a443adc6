// Finds a kernel's BTF where no symbol says where it is.
#pragma once

#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "base/reader.h"

namespace kvista::decode {

/// Looks through `image`, the kernel image's mapping, for tables of types that are whole in memory and hold
/// `struct task_struct`; in order, 4 at most.
std::vector<std::vector<std::byte>> search_btf(const VirtReader& read, VirtRange image, ByteOrder order);

}  // namespace kvista::decode
