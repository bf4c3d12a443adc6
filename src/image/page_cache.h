// The pages of a compressed image that were asked for last.
#pragma once

#include <algorithm>
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
  /// A shard has four pages; there are 64, or fewer where these would be more than 4 MiB.
  explicit PageCache(size_t page_size)
      : PageCache(page_size, std::min(kMostShards, kMostBytes / kWays / page_size)) {}
  PageCache(size_t page_size, size_t shards)
      : page_size_(page_size), shard_count_(shards), shards_(std::make_unique<Shard[]>(shards)) {}

  /// Copies bytes of page `pfn`, from `into` on; false where the page is not here.
  bool read(Pfn pfn, size_t into, std::span<std::byte> out) const;
  void insert(Pfn pfn, std::span<const std::byte> page) const;

 private:
  static constexpr size_t kWays = 4;
  static constexpr size_t kMostShards = 64;
  static constexpr size_t kMostBytes = size_t{4} << 20;
  struct Shard {
    std::mutex mutex;
    std::array<uint64_t, kWays> pfn{};
    std::array<uint64_t, kWays> used{};  // 0: empty; else higher for what was used later
    uint64_t clock = 0;
    std::vector<std::byte> pages;  // made with the first page
  };
  Shard& shard(Pfn pfn) const { return shards_[(pfn.value ^ pfn.value >> 6) % shard_count_]; }

  size_t page_size_;
  size_t shard_count_;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace kvista::image
