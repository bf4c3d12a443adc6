// Compression for tests: the counterpart of codec/codec.h.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "codec/codec.h"

namespace kvista::test {

/// `bytes` as `codec` writes them at its fastest. Throws Unsupported where this build lacks the codec.
std::vector<std::byte> compress(codec::Codec codec, std::span<const std::byte> bytes);

}  // namespace kvista::test
