#include "dump/chunk_queue.h"

#include <algorithm>

#include "base/bits.h"

namespace kvista::dump {

namespace {

// Clears the bits of frames outside of [first, end), where `bits` begins at `at`.
void keep_within(Pfn first, Pfn end, Pfn at, std::span<std::byte> bits) {
  const uint64_t size = bits.size() * 8;
  if (at < first) clear_bits(bits, 0, std::min(first - at, size));
  if (end < at + size) clear_bits(bits, end > at ? end - at : 0, size);
}

// The `count` lowest of the bits that are set.
uint64_t lowest_ones(uint64_t bits, uint64_t count) {
  uint64_t left = bits;
  for (; count != 0; --count) left &= left - 1;
  return bits ^ left;
}

}  // namespace

std::optional<ChunkQueue::Chunk> ChunkQueue::next(std::vector<std::byte>& room) {
  const std::lock_guard lock(mutex_);
  const uint64_t words = frames_ / kWordBits;
  while (true) {
    while (at_ < bits_.size() / 8 && load_bits(bits_, at_) == 0) ++at_;
    if (at_ < bits_.size() / 8) break;
    if (taken_ == blocks_.size()) return std::nullopt;
    bits_.resize(words * 8);
    const Pfn block = blocks_[taken_++].first;
    bitmap_.get(block.value / 8, bits_);
    keep_within(first_, end_, block, bits_);
    at_ = 0;
  }
  const uint64_t from = at_;
  uint64_t pages = 0;
  for (uint64_t more = 0; at_ < words; ++at_, pages += more) {
    more = count_ones(load_bits(bits_, at_));
    if (pages + more > most_) break;
  }
  Chunk chunk{number_++, index_, blocks_[taken_ - 1].first + from * kWordBits, {}};
  if (at_ == from) {
    // The pages of one word are too many.
    const uint64_t all = load_bits(bits_, from);
    const uint64_t some = lowest_ones(all, most_);
    room.resize(kWordBits / 8);
    store_bits(room, 0, some);
    store_bits(bits_, from, all & ~some);
    pages = most_;
  } else {
    const auto bits = std::span<const std::byte>(bits_).subspan(from * 8, (at_ - from) * 8);
    room.assign(bits.begin(), bits.end());
  }
  chunk.bits = room;
  index_ += pages;
  return chunk;
}

}  // namespace kvista::dump
