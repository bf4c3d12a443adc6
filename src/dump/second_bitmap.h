// The decisions of the counting pass, until the pages are copied: in memory, or in the output's second
// bitmap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "dump/output.h"

namespace kvista::dump {

/// Pieces are written and read from several threads, each piece by one at a time.
class SecondBitmap {
 public:
  /// `size` bytes, which belong at `offset` of the output, or nowhere (null): then they stay in memory. What
  /// is put behind them, of frames that are no memory, is dropped, and reads as not kept.
  SecondBitmap(Output* output, uint64_t offset, uint64_t size);

  void put(uint64_t at, std::span<const std::byte> bits);
  void get(uint64_t at, std::span<std::byte> bits) const;
  /// From here on all of it is in the output, if there is one.
  void store();

 private:
  Output* output_;
  uint64_t offset_;
  uint64_t size_;
  std::mutex mutex_;             // an output is for one thread
  std::vector<std::byte> kept_;  // empty: it is in the output
};

}  // namespace kvista::dump
