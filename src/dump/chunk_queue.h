// The frames that a dump holds, handed out to threads in chunks of about as many pages each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "dump/second_bitmap.h"

namespace kvista::dump {

/// Safe to use from several threads.
class ChunkQueue {
 public:
  struct Chunk {
    size_t number = 0;   ///< from 0 on, in frame order
    uint64_t index = 0;  ///< of the first page among all that are handed out
    Pfn first;
    std::span<const std::byte> bits;  ///< of the frames from `first` on: whole words, of which some are set
  };
  /// Blocks are `frames` long each, a multiple of 64, and in order; they outlive the queue. Of them only the
  /// frames [first, end) count. A chunk holds `most` pages at most.
  ChunkQueue(const SecondBitmap& bitmap, std::span<const Block> blocks, uint64_t frames, uint64_t most,
             Pfn first = {}, Pfn end = {UINT64_MAX})
      : bitmap_(bitmap), blocks_(blocks), frames_(frames), most_(most), first_(first), end_(end) {}

  /// The next chunk, whose bits are kept in `room`; nothing where there is none.
  std::optional<Chunk> next(std::vector<std::byte>& room);

 private:
  const SecondBitmap& bitmap_;
  std::span<const Block> blocks_;
  uint64_t frames_;
  uint64_t most_;
  Pfn first_;
  Pfn end_;
  std::mutex mutex_;
  size_t taken_ = 0;             // blocks whose bits were fetched
  std::vector<std::byte> bits_;  // of the last of them
  uint64_t at_ = 0;              // the first word of bits_ that was not handed out
  size_t number_ = 0;            // of the next chunk
  uint64_t index_ = 0;           // of its first page
};

}  // namespace kvista::dump
