#include "images/printk_builder.h"

#include <algorithm>

#include "base/endian.h"

namespace kvista::test {
namespace {

constexpr uint8_t kFacility = 3;
constexpr uint8_t kFlags = 2;  // LOG_NEWLINE
constexpr uint32_t kCaller = 0x80000001;

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// `u8 flags:5; u8 level:3;`
uint8_t flags_and_level(ByteOrder order, uint8_t level) {
  return static_cast<uint8_t>(order == ByteOrder::little ? level << 5 | kFlags : kFlags << 3 | level);
}

}  // namespace

void PrintkMemory::put(uint64_t at, uint64_t value, unsigned size) {
  bytes.resize(std::max<size_t>(bytes.size(), at + size));
  for (unsigned i = 0; i < size; ++i) {
    const unsigned place = shape.words.order == ByteOrder::little ? i : size - 1 - i;
    bytes[at + i] = static_cast<std::byte>(value >> 8 * place);
  }
}

void PrintkMemory::put_text(uint64_t at, std::string_view text) {
  bytes.resize(std::max<size_t>(bytes.size(), at + text.size()));
  std::transform(text.begin(), text.end(), bytes.begin() + static_cast<ptrdiff_t>(at),
                 [](char c) { return static_cast<std::byte>(c); });
}

// --- the ring ---

PrintkRing::PrintkRing(const PrintkShape& ring_shape) : PrintkMemory(ring_shape) {
  const uint64_t word = shape.words.word_size;
  layout.words = shape.words;
  layout.prb = shape.start();
  layout.prb_desc_ring = {(shape.has_last_finalized ? 6 : 5) * word, 0, word, 2 * word, 3 * word, 4 * word};
  layout.prb_data_ring = {4 * word, 0, word};
  const uint64_t text_ring = layout.prb_desc_ring.size;
  layout.printk_ringbuffer = {text_ring + layout.prb_data_ring.size + word, 0, text_ring};
  layout.prb_desc = {3 * word, 0, word};
  layout.prb_data_blk_lpos = {2 * word, 0, word};
  layout.printk_info = {shape.info_size, 0, 8, 16, 20, shape.info_size == 88 ? 24U : 44U};
  layout.dev_printk_info = {64, 0, 16, 16, 48};
  infos_ = align_up(kStructs + count() * layout.prb_desc.size, 8);
  data = infos_ + count() * shape.info_size;
  bytes.resize(data + shape.buffer_size());
  put_pointer(0, kRing);
  put(kRing, shape.count_bits, 4);
  put_pointer(kRing + word, kStructs);
  put_pointer(kRing + 2 * word, infos_);
  put(kRing + text_ring, shape.size_bits, 4);
  put_pointer(kRing + text_ring + word, data);
  // DESC0_ID and BLK0_LPOS: the first ids and positions are soon through zero, so that mistakes show early.
  tail_ = (0 - count()) & id_mask();
  head = (tail_ - 1) & id_mask();
  lpos_ = 0 - shape.buffer_size();
  set_ends();
}

void PrintkRing::set_ends() {
  put_word(head_at(), head);
  put_word(kRing + layout.prb_desc_ring.tail_id, tail_);
}

// The latch of clear_seq, since 5.12: its count, and two values of which the count's lowest bit chooses one.
void PrintkRing::clear() {
  put_word(kClear, 0);
  put(kClear + 8, seq_, 8);
  put(kClear + 16, seq_, 8);
  layout.clear = {shape.start() + kClear, 8};
}

void PrintkRing::add(std::string_view text, State state, uint8_t level) {
  const uint64_t word = shape.words.word_size;
  const uint64_t room = shape.buffer_size();
  head = (head + 1) & id_mask();
  if (((head - tail_) & id_mask()) >= count()) tail_ = (tail_ + 1) & id_mask();
  uint64_t begin = 3;  // NO_LPOS
  uint64_t next = 3;
  if (!text.empty()) {
    const uint64_t size = align_up(word + text.size(), word);
    const bool wraps = lpos_ % room + size > room;
    begin = lpos_;
    next = wraps ? (begin + size) / room * room + size : begin + size;
    lpos_ = next;
    const uint64_t at = data + (wraps ? 0 : begin % room);
    put_word(at, head);
    put_text(at + word, text);
  }
  const uint64_t desc = desc_at(head);
  put_state(desc, head, state);
  put_word(desc + word, begin);
  put_word(desc + 2 * word, next);
  const uint64_t info = info_at(head);
  put(info, seq_, 8);
  put(info + 8, seq_ * 1000, 8);
  put(info + 16, text.size(), 2);
  put(info + 18, kFacility, 1);
  put(info + 19, flags_and_level(shape.words.order, level), 1);
  put(info + 20, kCaller, 4);
  put_text(info + layout.printk_info.dev_info, "p");
  put_text(info + layout.printk_info.dev_info + 16, "+");
  ++seq_;
  set_ends();
}

// --- records ---

PrintkRecords::PrintkRecords(const PrintkShape& records_shape) : PrintkMemory(records_shape) {
  const VirtAddr start = shape.start();
  layout = {shape.words, start, start + 8, start + 12, start + 16, start + 20, {16, 0, 8, 10, 12}};
  bytes.resize(kBuffer + shape.buffer_size());
  put_pointer(0, kBuffer);
  put(8, shape.buffer_size(), 4);
  set_ends();
}

void PrintkRecords::set_ends() {
  put(12, first_, 4);
  put(16, next_, 4);
}

void PrintkRecords::clear() {
  put(20, next_, 4);
}

uint64_t PrintkRecords::length_at(uint64_t at) const {
  return load<uint16_t>(&bytes[kBuffer + at + layout.head.len], shape.words.order);
}

// log_store() and log_make_free_space() of kernel/printk/printk.c.
void PrintkRecords::add(std::string_view text, std::string_view dictionary, uint8_t level) {
  const uint64_t head = layout.head.size;
  const uint64_t size = align_up(head + text.size() + dictionary.size(), 8);
  const auto fits = [&] {
    const bool behind = next_ > first_ || empty_;
    const uint64_t room = behind ? std::max(shape.buffer_size() - next_, first_) : first_ - next_;
    return room >= size + head;
  };
  while (!fits() && !empty_) {
    const uint64_t length = length_at(first_);
    first_ = length == 0 ? 0 : first_ + length;
    if (length != 0 && first_ == next_) empty_ = true;
  }
  if (next_ + size + head > shape.buffer_size()) {
    for (uint64_t i = 0; i < head; ++i) put(kBuffer + next_ + i, 0, 1);
    next_ = 0;
  }
  const uint64_t at = kBuffer + next_;
  put(at, time_ += 1000, 8);
  put(at + 8, size, 2);
  put(at + 10, text.size(), 2);
  put(at + 12, dictionary.size(), 2);
  put(at + 14, kFacility, 1);
  put(at + 15, flags_and_level(shape.words.order, level), 1);
  put_text(at + head, text);
  put_text(at + head + text.size(), dictionary);
  next_ += size;
  empty_ = false;
  set_ends();
}

// --- text ---

PrintkText::PrintkText(const PrintkShape& text_shape) : PrintkMemory(text_shape) {
  const VirtAddr start = shape.start();
  layout = {shape.words, start, start + 8, start + 12, start + 16};
  bytes.resize(kBuffer + shape.buffer_size());
  put_pointer(0, kBuffer);
  put(8, shape.buffer_size(), 4);
}

void PrintkText::add(std::string_view text) {
  for (const char c : text) put(kBuffer + end_++ % shape.buffer_size(), static_cast<uint8_t>(c), 1);
  put(12, end_, 4);
  put(16, std::min(end_, shape.buffer_size()), 4);
}

}  // namespace kvista::test
