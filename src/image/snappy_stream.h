// Snappy's framing format, indexed for random access: chunks of at most 64 KiB, each compressed by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Data of a stream. Offsets are from the stream's start: in the file, and in what it decompresses to.
struct SnappyChunk {
  uint32_t at = 0;  ///< of the checksum, behind the chunk's head
  uint32_t start = 0;
  uint32_t stored : 31 = 0;  ///< bytes in the file, with the checksum
  uint32_t plain : 1 = 0;    ///< not compressed
};

inline constexpr uint32_t kLargestSnappyChunk = 65536;  ///< uncompressed

/// What a pass over the heads of a stream's chunks gives.
struct SnappyStream {
  enum class End {
    whole,    ///< all bytes that were expected
    cut,      ///< the file ends before
    damaged,  ///< a head makes no sense
  };
  std::vector<SnappyChunk> chunks;
  uint32_t size = 0;  ///< uncompressed bytes of these chunks
  uint64_t end = 0;   ///< offset in the file of what follows, or of the head that ended the pass
  End how = End::whole;
};

/// Reads the heads of the chunks of the stream at `at` until they make up `expected` uncompressed bytes.
SnappyStream index_snappy_stream(const File& file, uint64_t at, uint32_t expected);

/// Decompresses one chunk into `out`, which is as long as the chunk is uncompressed. `stream_at` is the
/// offset of the stream in the file. The state is `unreadable` where the chunk cannot be read or
/// decompressed, or has another checksum than it should.
PageState read_snappy_chunk(const File& file, uint64_t stream_at, const SnappyChunk& chunk,
                            std::span<std::byte> out);

}  // namespace kvista::image
