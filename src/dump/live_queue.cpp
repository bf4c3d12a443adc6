#include "dump/live_queue.h"

#include <algorithm>

#include "base/bits.h"

namespace kvista::dump {

namespace {

bool is_set(std::span<const std::byte> bits, uint64_t frame) {
  return ((std::to_integer<unsigned>(bits[frame / 8]) >> (frame % 8)) & 1U) != 0;
}

}  // namespace

LiveQueue::LiveQueue(const DumpPlan& plan, const SecondBitmap& kept)
    : plan_(plan),
      second_(kept),
      done_(plan.blocks().size() * plan.block_frames() / 8),
      kept_(plan.block_frames() / 8),
      todo_(kept_.size()),
      untouchable_(kept_.size()),
      classes_(plan.block_frames()),
      at_(plan.block_frames()) {}

// What is to be done of the next block in this stage.
void LiveQueue::enter_block() {
  const Block& block = plan_.blocks()[block_];
  const auto done = std::span(done_).subspan(block_ * kept_.size(), kept_.size());
  second_.get(block.first.value / 8, kept_);
  std::vector<std::byte> now(kept_.size());
  plan_.look_again(block.first, classes_, now);
  std::fill(todo_.begin(), todo_.end(), std::byte{0});
  std::fill(untouchable_.begin(), untouchable_.end(), std::byte{0});
  for (uint64_t i = 0; i < classes_.size(); ++i) {
    if (!is_set(kept_, i) || is_set(done, i)) continue;
    const PhysAddr address = phys_of(block.first + i, plan_.page_shift());
    if (stage_ != Stage::rest && plan_.stage_of(address, classes_[i]) != stage_) continue;
    set_bits(todo_, i, i + 1);
    set_bits(done, i, i + 1);
    if (!is_set(now, i)) ++changed_;
    if (!plan_.may_touch(classes_[i])) set_bits(untouchable_, i, i + 1);
  }
  at_ = 0;
  index_ = before_;
  before_ += block.kept;
  ++block_;
}

// Whether there is another block, if need be of the next stage.
bool LiveQueue::go_on() {
  if (block_ == plan_.blocks().size()) {
    if (stage_ == Stage::rest) return false;
    stage_ = static_cast<Stage>(static_cast<uint8_t>(stage_) + 1);
    block_ = before_ = 0;
    if (plan_.blocks().empty()) return false;
  }
  enter_block();
  return true;
}

// The end of the frames from `from` on whose pages stand together in the dump.
uint64_t LiveQueue::take_run(uint64_t from) {
  const bool may_not = is_set(untouchable_, from);
  uint64_t pages = 0;
  uint64_t to = from;
  for (; to < classes_.size() && pages < plan_.chunk_pages(); ++to) {
    if (!is_set(kept_, to)) continue;
    if (!is_set(todo_, to) || is_set(untouchable_, to) != may_not) break;
    ++pages;
  }
  return to;
}

std::optional<LiveQueue::Chunk> LiveQueue::next(std::vector<std::byte>& room) {
  const std::lock_guard lock(mutex_);
  while (true) {
    for (; at_ < classes_.size() && !is_set(todo_, at_); ++at_)
      if (is_set(kept_, at_)) ++index_;
    if (at_ < classes_.size()) break;
    if (!go_on()) return std::nullopt;
  }
  const uint64_t to = take_run(at_);
  const uint64_t word = at_ / kWordBits;
  const uint64_t words = (to + kWordBits - 1) / kWordBits - word;
  const auto bits = std::span<const std::byte>(todo_).subspan(word * 8, words * 8);
  room.assign(bits.begin(), bits.end());
  clear_bits(room, 0, at_ - word * kWordBits);
  clear_bits(room, to - word * kWordBits, words * kWordBits);
  const Pfn block = plan_.blocks()[block_ - 1].first;
  const Chunk chunk{number_++, index_, block + word * kWordBits, room, !is_set(untouchable_, at_)};
  index_ += count_bits(room);
  at_ = to;
  return chunk;
}

}  // namespace kvista::dump
