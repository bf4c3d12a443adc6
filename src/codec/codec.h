// Decompression of single pages, whatever they were compressed with, behind one interface.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvista::codec {

/// What a page, or another block of at most a few MiB, can be compressed with.
enum class Codec : uint8_t {
  zlib,    ///< a zlib stream (RFC 1950)
  gzip,    ///< a gzip member (RFC 1952)
  lzo,     ///< a block of LZO1X
  snappy,  ///< a raw block of Snappy, without framing
  zstd,    ///< a Zstandard frame
};

/// "zlib", "LZO" ...
const char* describe(Codec codec);

/// Whether this build has it: LZO can be left out (KVISTA_LZO=OFF).
bool is_available(Codec codec);

/// Decompresses `in` into the front of `out` and sets `size` to how many bytes that gave. False where `in` is
/// damaged or holds more than `out` has room for; then what `out` holds means nothing. Neither buffer is read
/// or written beyond its end, whatever `in` says of its size. Each thread has contexts of its own, made on
/// first use, so that a call allocates nothing. Throws Unsupported where this build lacks the codec.
bool decompress(Codec codec, std::span<const std::byte> in, std::span<std::byte> out, size_t& size);

/// As `decompress`, for data whose size is known: false where it is not exactly `out.size()` bytes.
bool decompress_exactly(Codec codec, std::span<const std::byte> in, std::span<std::byte> out);

}  // namespace kvista::codec
