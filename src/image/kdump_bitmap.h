// The two bitmaps of a kdump-compressed file: which page frames are memory, and which of them were dumped.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/file.h"
#include "image/kdump_header.h"

namespace kvista::image {

/// Page frames [first, first + count).
struct PfnRun {
  Pfn first;
  uint64_t count = 0;
};

/// Keeps how many pages were dumped before each piece of the second bitmap, and reads pieces when asked: the
/// bitmaps of a large machine are larger than what is worth keeping.
class KdumpBitmap {
 public:
  /// Goes through both bitmaps once. Throws FormatError where they cannot be read or are noise.
  KdumpBitmap(const File& file, const KdumpHeader& header);

  /// Memory: what either bitmap names, sorted and disjoint.
  std::span<const PfnRun> memory() const { return memory_; }
  /// Pages that were dumped, of all frames.
  uint64_t dumped() const { return dumped_; }

  /// Of the frames from `pfn` on, at most `most`: how many, one after another, were dumped, and how many
  /// dumped pages are before them.
  struct Run {
    uint64_t count = 0;  ///< 0: `pfn` was not dumped
    uint64_t rank = 0;
    bool readable = true;
  };
  Run find(const File& file, Pfn pfn, uint64_t most) const;
  /// How many dumped pages are before `pfn`.
  uint64_t rank(const File& file, Pfn pfn) const;
  /// Goes through both bitmaps of a file. Calls `visit` with pieces of at most 4 KiB of both, in order;
  /// `first` is the frame of a piece's first bit. Throws FormatError where they cannot be read.
  using Visit =
      std::function<void(Pfn first, std::span<const std::byte> memory, std::span<const std::byte> dumped)>;
  static void for_each_piece(const File& file, const KdumpHeader& header, const Visit& visit);
  /// As MemoryImage::clear_missing.
  void clear_missing(const File& file, Pfn first, unsigned page_shift, std::span<std::byte> bits) const;

 private:
  // A piece of the second bitmap that names any page.
  struct Piece {
    uint64_t number = 0;
    uint64_t rank = 0;  // dumped pages before it
  };
  void scan_piece(uint64_t number, std::span<const std::byte> memory, std::span<const std::byte> dumped);
  void add_memory(Pfn first, uint64_t count);
  void clear_not_dumped(const File& file, Pfn first, std::span<std::byte> bits) const;

  uint64_t at_;    // of the second bitmap, in the file
  uint64_t size_;  // of one bitmap: the bytes that stand for frames
  uint64_t max_mapnr_;
  unsigned page_shift_;
  uint64_t dumped_ = 0;
  std::vector<Piece> pieces_;
  std::vector<PfnRun> memory_;
};

}  // namespace kvista::image
