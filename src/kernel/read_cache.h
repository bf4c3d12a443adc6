// The pieces of memory that were read last: a task's members lie side by side, and each read would walk the
// page tables again.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>

#include "base/address.h"

namespace kvista::kernel {

/// For images that do not change. Safe to use from several threads.
class ReadCache {
 public:
  static constexpr size_t kPiece = 4096;

  /// Copies `out`, which must lie within one piece, from the cache; `read_piece(start, bytes)` reads a piece
  /// and says whether all of it is there. False where it is not: nothing was copied then.
  template <typename ReadPiece>
  bool read(VirtAddr address, std::span<std::byte> out, ReadPiece read_piece) {
    const VirtAddr start{address.value & ~uint64_t{kPiece - 1}};
    const std::lock_guard lock(mutex_);
    auto& entry = entries_.at(start.value / kPiece % kEntries);
    if (!entry) entry = std::make_unique<Entry>();
    if (!entry->is_known || entry->start != start) {
      entry->is_known = read_piece(start, std::span(entry->bytes));
      entry->start = start;
    }
    if (!entry->is_known) return false;
    const auto from = std::span(entry->bytes).subspan(address - start, out.size());
    std::copy(from.begin(), from.end(), out.begin());
    return true;
  }
  static bool is_within_piece(VirtAddr address, size_t size) {
    return size <= kPiece - address.value % kPiece;
  }

 private:
  static constexpr size_t kEntries = 128;
  struct Entry {
    VirtAddr start;
    bool is_known = false;
    std::array<std::byte, kPiece> bytes;
  };
  std::mutex mutex_;
  std::array<std::unique_ptr<Entry>, kEntries> entries_;
};

}  // namespace kvista::kernel
