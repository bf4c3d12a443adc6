// The pages of a compressed image that were asked for last.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/address.h"

namespace kvista::image {

/// A small cache that threads share: a page has few places, all under one lock, and takes that of the oldest.
class PageCache {
 public:
  explicit PageCache(size_t page_size)
      : page_size_(page_size), shards_(std::make_unique<std::array<Shard, kShards>>()) {}

  /// Copies bytes of page `pfn`, from `into` on; false where the page is not here.
  bool read(Pfn pfn, size_t into, std::span<std::byte> out) const;
  void insert(Pfn pfn, std::span<const std::byte> page) const;

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kWays = 4;
  struct Shard {
    std::mutex mutex;
    std::array<uint64_t, kWays> pfn{};
    std::array<uint64_t, kWays> used{};  // 0: empty; else higher for what was used later
    uint64_t clock = 0;
    std::vector<std::byte> pages;  // made with the first page
  };
  Shard& shard(Pfn pfn) const { return shards_->at((pfn.value ^ pfn.value >> 6) % kShards); }

  size_t page_size_;
  std::unique_ptr<std::array<Shard, kShards>> shards_;
};

}  // namespace kvista::image
