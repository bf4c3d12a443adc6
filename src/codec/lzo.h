// LZO is under the GPL: a build can leave it out, and then has lzo_left_out.cpp in place of lzo.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "codec/compress.h"

namespace kvista::codec {

extern const bool kHasLzo;

/// As codec::decompress.
bool decompress_lzo(std::span<const std::byte> in, std::span<std::byte> out, size_t& size);
/// As codec::make_compressor.
std::unique_ptr<Compressor> make_lzo_compressor();

}  // namespace kvista::codec
