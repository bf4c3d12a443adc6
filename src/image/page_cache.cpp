#include "image/page_cache.h"

#include <algorithm>

namespace kvista::image {

bool PageCache::read(Pfn pfn, size_t into, std::span<std::byte> out) const {
  Shard& in = shard(pfn);
  const std::lock_guard lock(in.mutex);
  for (size_t way = 0; way < kWays; ++way) {
    if (in.used.at(way) == 0 || in.pfn.at(way) != pfn.value) continue;
    in.used.at(way) = ++in.clock;
    const auto page = std::span(in.pages).subspan(way * page_size_ + into, out.size());
    std::copy(page.begin(), page.end(), out.begin());
    return true;
  }
  return false;
}

void PageCache::insert(Pfn pfn, std::span<const std::byte> page) const {
  Shard& in = shard(pfn);
  const std::lock_guard lock(in.mutex);
  in.pages.resize(kWays * page_size_);
  const auto oldest = static_cast<size_t>(std::min_element(in.used.begin(), in.used.end()) - in.used.begin());
  in.pfn.at(oldest) = pfn.value;
  in.used.at(oldest) = ++in.clock;
  std::copy(page.begin(), page.end(), in.pages.begin() + static_cast<ptrdiff_t>(oldest * page_size_));
}

}  // namespace kvista::image
