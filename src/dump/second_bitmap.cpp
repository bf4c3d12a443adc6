#include "dump/second_bitmap.h"

#include <algorithm>

namespace kvista::dump {
namespace {

// For 256 GiB of pages of 4 KiB.
constexpr uint64_t kMostInMemory = uint64_t{8} << 20;

}  // namespace

SecondBitmap::SecondBitmap(Output& output, uint64_t offset, uint64_t size)
    : output_(output), offset_(offset) {
  if (size <= kMostInMemory || !output.can_read()) kept_.resize(size);
}

void SecondBitmap::put(uint64_t at, std::span<const std::byte> bits) {
  if (!kept_.empty()) {
    std::copy(bits.begin(), bits.end(), kept_.begin() + static_cast<ptrdiff_t>(at));
    return;
  }
  const std::lock_guard lock(mutex_);
  output_.write(offset_ + at, bits);
}

void SecondBitmap::get(uint64_t at, std::span<std::byte> bits) const {
  if (kept_.empty())
    output_.read(offset_ + at, bits);
  else
    std::copy_n(kept_.begin() + static_cast<ptrdiff_t>(at), bits.size(), bits.begin());
}

void SecondBitmap::store() {
  if (!kept_.empty()) output_.write(offset_, kept_);
}

}  // namespace kvista::dump
