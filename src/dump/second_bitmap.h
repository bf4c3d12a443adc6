// The decisions of the counting pass, until the pages are copied: in memory, in the output's second bitmap,
// or made again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "base/address.h"
#include "dump/output.h"

namespace kvista::dump {

/// Frames of one stretch, a multiple of 64, and how many of them are kept.
struct Block {
  Pfn first;
  uint64_t kept = 0;
};

/// Pieces are written and read from several threads, each piece by one at a time.
class SecondBitmap {
 public:
  /// Makes the decisions of the bytes from `at` on once more.
  using Again = std::function<void(uint64_t at, std::span<std::byte> bits)>;
  struct Place {
    Output* output = nullptr;     ///< or null: they belong nowhere
    uint64_t offset = 0;          ///< in the output
    uint64_t most_in_memory = 0;  ///< bytes; more are kept only where there is no other way
    Again again;                  ///< or nothing: they cannot be made again
  };

  /// `size` bytes. What is put behind them, of frames that are no memory, is dropped, and reads as not kept.
  SecondBitmap(Place place, uint64_t size);

  void put(uint64_t at, std::span<const std::byte> bits);
  void get(uint64_t at, std::span<std::byte> bits) const;
  /// Changes `size` bytes from `at` on, as far as there are so many. One thread at a time, and only where
  /// decisions are not made again.
  void change(uint64_t at, uint64_t size, const std::function<void(std::span<std::byte> bits)>& change);
  /// From here on all of it is in the output, if there is one.
  void store();

 private:
  Place place_;
  uint64_t size_;
  std::mutex mutex_;             // an output is for one thread
  std::vector<std::byte> kept_;  // empty: it is elsewhere
};

}  // namespace kvista::dump
