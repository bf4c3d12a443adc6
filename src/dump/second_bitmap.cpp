#include "dump/second_bitmap.h"

#include <algorithm>

namespace kvista::dump {
namespace {

// For 256 GiB of pages of 4 KiB.
constexpr uint64_t kMostInMemory = uint64_t{8} << 20;

// The part of `bits`, which belong at `at`, that is within `size`.
template <typename Byte>
std::span<Byte> within(std::span<Byte> bits, uint64_t at, uint64_t size) {
  return bits.first(std::min<uint64_t>(bits.size(), size - std::min(at, size)));
}

}  // namespace

SecondBitmap::SecondBitmap(Output* output, uint64_t offset, uint64_t size)
    : output_(output), offset_(offset), size_(size) {
  if (size <= kMostInMemory || output == nullptr || !output->can_read()) kept_.resize(size);
}

void SecondBitmap::put(uint64_t at, std::span<const std::byte> bits) {
  bits = within(bits, at, size_);
  if (bits.empty()) return;
  if (!kept_.empty()) {
    std::copy(bits.begin(), bits.end(), kept_.begin() + static_cast<ptrdiff_t>(at));
    return;
  }
  const std::lock_guard lock(mutex_);
  output_->write(offset_ + at, bits);
}

void SecondBitmap::get(uint64_t at, std::span<std::byte> bits) const {
  const auto there = within(bits, at, size_);
  std::fill(bits.begin() + static_cast<ptrdiff_t>(there.size()), bits.end(), std::byte{0});
  if (there.empty()) return;
  if (kept_.empty())
    output_->read(offset_ + at, there);
  else
    std::copy_n(kept_.begin() + static_cast<ptrdiff_t>(at), there.size(), there.begin());
}

void SecondBitmap::store() {
  if (!kept_.empty() && output_ != nullptr) output_->write(offset_, kept_);
}

}  // namespace kvista::dump
