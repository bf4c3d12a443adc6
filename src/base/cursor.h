// The one reader for untrusted headers: bounds, overflow and byte order are handled here and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/endian.h"

namespace kvista {

/// Reads fields one after another from a span of bytes. The first read that does not fit makes the cursor
/// fail for good: it and all later reads give zeros, so that a header is parsed as a run of fields and
/// checked once.
class Cursor {
 public:
  /// `word_size` is 4 or 8: the size of the image's `unsigned long`, which `word()` reads.
  Cursor(std::span<const std::byte> bytes, ByteOrder order, unsigned word_size = 8)
      : bytes_(bytes), order_(order), word_size_(word_size) {}

  uint8_t u8() { return read<uint8_t>(); }
  uint16_t u16() { return read<uint16_t>(); }
  uint32_t u32() { return read<uint32_t>(); }
  uint64_t u64() { return read<uint64_t>(); }
  /// An `unsigned long` of the image.
  uint64_t word() { return word_size_ == 4 ? u32() : u64(); }

  /// The next `count` bytes, or an empty span where they do not fit.
  std::span<const std::byte> bytes(uint64_t count);
  void skip(uint64_t count) { bytes(count); }
  void seek(uint64_t offset);
  /// Moves on to the next multiple of `alignment` (a power of two) from the start of the span.
  void align(uint64_t alignment);

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }
  bool at_end() const { return offset_ == bytes_.size(); }
  bool ok() const { return !failed_; }
  /// Where the first read that did not fit began.
  uint64_t failed_at() const { return failed_at_; }

 private:
  template <std::unsigned_integral T>
  T read() {
    const auto field = bytes(sizeof(T));
    return field.empty() ? T{} : load<T>(field.data(), order_);
  }
  void fail();

  std::span<const std::byte> bytes_;
  ByteOrder order_;
  unsigned word_size_;
  uint64_t offset_ = 0;
  uint64_t failed_at_ = 0;
  bool failed_ = false;
};

/// The bytes as characters, up to the first NUL.
std::string_view as_text(std::span<const std::byte> bytes);

}  // namespace kvista
