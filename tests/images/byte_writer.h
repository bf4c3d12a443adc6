// The counterpart of base/cursor.h: fields one after another, in a chosen byte order and word size.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/endian.h"

namespace kvista::test {

class ByteWriter {
 public:
  explicit ByteWriter(ByteOrder order = ByteOrder::little, unsigned word_size = 8)
      : order_(order), word_size_(word_size) {}

  void u8(uint8_t value) { put(value); }
  void u16(uint16_t value) { put(value); }
  void u32(uint32_t value) { put(value); }
  void u64(uint64_t value) { put(value); }
  /// An `unsigned long` of the image.
  void word(uint64_t value) {
    if (word_size_ == 4)
      put(static_cast<uint32_t>(value));
    else
      put(value);
  }
  void bytes(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view text) { bytes(std::as_bytes(std::span(text))); }
  void zeros(uint64_t count) { bytes_.resize(bytes_.size() + count); }
  void align(uint64_t alignment) { bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment); }

  uint64_t size() const { return bytes_.size(); }
  std::vector<std::byte> take() { return std::exchange(bytes_, {}); }

 private:
  template <std::unsigned_integral T>
  void put(T value) {
    std::array<std::byte, sizeof(T)> piece{};
    store(piece.data(), value, order_);
    bytes(piece);
  }

  ByteOrder order_;
  unsigned word_size_;
  std::vector<std::byte> bytes_;
};

}  // namespace kvista::test
