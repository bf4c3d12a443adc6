// How decoders read a kernel's memory without knowing where it comes from.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/address.h"

namespace kvista {

/// Reads virtual memory: the number of bytes that are there, from the first on.
using VirtReader = std::function<size_t(VirtAddr address, std::span<std::byte> out)>;

}  // namespace kvista
