// Compression of single pages, with whatever a dump can hold, behind one interface.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "codec/codec.h"

namespace kvista::codec {

/// The compression levels that a codec takes; both are 0 for one that has none.
struct LevelRange {
  int least = 0;
  int most = 0;
  int usual = 0;  ///< what is used where none is asked for: the fastest
};
LevelRange levels_of(Codec codec);

/// Compresses page after page. One compressor is for one thread; what it needs is allocated once.
class Compressor {
 public:
  virtual ~Compressor() = default;
  Compressor() = default;
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  /// How large `out` must be for a page of `size` bytes.
  virtual size_t bound(size_t size) const = 0;
  /// Compresses `in` into the front of `out`: how many bytes that took, or 0 where it could not be done.
  virtual size_t compress(std::span<const std::byte> in, std::span<std::byte> out) = 0;
};

/// A compressor. `level` is in levels_of(codec). Throws Unsupported where this build lacks the codec.
std::unique_ptr<Compressor> make_compressor(Codec codec, int level);

}  // namespace kvista::codec
