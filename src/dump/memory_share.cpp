#include "dump/memory_share.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace kvista::dump {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;

// The program, what it knows of the kernel, and the pieces that are written at once.
constexpr uint64_t kFixed = 9 * kMiB;
// A thread's struct pages or its copy of pages, and its codec's state.
constexpr uint64_t kThread = 2 * kMiB;
// One in work and two that wait for their turn.
constexpr uint64_t kChunksOfThread = 3;
constexpr uint64_t kMostChunk = kMiB;
constexpr uint64_t kLeastChunk = 64 * kKiB;
constexpr uint64_t kMostBitmap = 8 * kMiB;

constexpr uint64_t needed(unsigned threads, uint64_t chunk, uint64_t bitmap) {
  return kFixed + bitmap + threads * (kThread + kChunksOfThread * chunk);
}

constexpr uint64_t usual_limit(unsigned threads) {
  return 16 * kMiB + uint64_t{threads} * 8 * kMiB;
}
static_assert(needed(1, kMostChunk, kMostBitmap) <= usual_limit(1));

}  // namespace

MemoryShare share_memory(std::optional<uint64_t> limit, unsigned threads) {
  threads = std::max(1U, threads);
  const uint64_t most = limit.value_or(usual_limit(threads));
  const uint64_t bitmap = std::min(kMostBitmap, most / 4);
  for (; threads >= 1; --threads) {
    // Chunks that are too small keep threads waiting for each other: one thread less is better.
    const uint64_t least = threads == 1 ? kLeastChunk : kMostChunk / 4;
    for (uint64_t chunk = kMostChunk; chunk >= least; chunk /= 2)
      if (needed(threads, chunk, bitmap) <= most) return {threads, chunk, bitmap};
  }
  // A limit of so much has a quarter for the bitmap.
  const uint64_t least = needed(1, kLeastChunk, 0) * 4 / 3;
  throw Unsupported(fmt::format("a dump takes {} MiB of memory at least, and the limit is {} KiB",
                                (least + kMiB - 1) / kMiB, most / kKiB));
}

}  // namespace kvista::dump
