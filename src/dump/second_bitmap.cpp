#include "dump/second_bitmap.h"

#include <algorithm>
#include <utility>

namespace kvista::dump {
namespace {

// The part of `bits`, which belong at `at`, that is within `size`.
template <typename Byte>
std::span<Byte> within(std::span<Byte> bits, uint64_t at, uint64_t size) {
  return bits.first(std::min<uint64_t>(bits.size(), size - std::min(at, size)));
}

}  // namespace

SecondBitmap::SecondBitmap(Place place, uint64_t size) : place_(std::move(place)), size_(size) {
  const bool can_read = place_.output != nullptr && place_.output->can_read();
  if (size <= place_.most_in_memory || (!can_read && !place_.again)) kept_.resize(size);
  if (can_read) place_.again = {};
}

void SecondBitmap::put(uint64_t at, std::span<const std::byte> bits) {
  bits = within(bits, at, size_);
  if (bits.empty()) return;
  if (!kept_.empty()) {
    std::copy(bits.begin(), bits.end(), kept_.begin() + static_cast<ptrdiff_t>(at));
    return;
  }
  if (place_.output == nullptr) return;
  const std::lock_guard lock(mutex_);
  place_.output->write(place_.offset + at, bits);
}

void SecondBitmap::get(uint64_t at, std::span<std::byte> bits) const {
  const auto there = within(bits, at, size_);
  std::fill(bits.begin() + static_cast<ptrdiff_t>(there.size()), bits.end(), std::byte{0});
  if (there.empty()) return;
  if (!kept_.empty())
    std::copy_n(kept_.begin() + static_cast<ptrdiff_t>(at), there.size(), there.begin());
  else if (place_.again)
    place_.again(at, bits);
  else
    place_.output->read(place_.offset + at, there);
}

void SecondBitmap::change(uint64_t at, uint64_t size,
                          const std::function<void(std::span<std::byte> bits)>& change) {
  at = std::min(at, size_);
  size = std::min(size, size_ - at);
  if (!kept_.empty()) {
    change(std::span(kept_).subspan(at, size));
    return;
  }
  std::vector<std::byte> bits(size);
  get(at, bits);
  change(bits);
  put(at, bits);
}

void SecondBitmap::store() {
  if (!kept_.empty() && place_.output != nullptr) place_.output->write(place_.offset, kept_);
}

}  // namespace kvista::dump
