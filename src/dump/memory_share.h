// How much memory the writing of a dump takes, and how it is kept below a limit.
#pragma once

#include <cstdint>
#include <optional>

namespace kvista::dump {

/// What may be used at the same time.
struct MemoryShare {
  unsigned threads = 1;
  uint64_t chunk_bytes = uint64_t{1} << 20;   ///< of pages that are copied together
  uint64_t bitmap_bytes = uint64_t{8} << 20;  ///< of decisions that are kept in memory
};

/// With `threads` threads, or with fewer where `limit` bytes are not enough for them. Without a limit it is
/// 32 MiB for two threads, and 8 MiB more or less for each thread more or less. Throws Unsupported where the
/// limit is not enough for one.
MemoryShare share_memory(std::optional<uint64_t> limit, unsigned threads);

}  // namespace kvista::dump
