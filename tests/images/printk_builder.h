// A kernel's log in one piece of memory, in each of its three forms, written as the kernel does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "decode/printk_records.h"
#include "decode/printk_ring.h"
#include "decode/printk_text.h"

namespace kvista::test {

/// What kernels differ in.
struct PrintkShape {
  decode::WordFormat words;
  uint64_t info_size = 88;         ///< of struct printk_info: 112 with CONFIG_PRINTK_EXECUTION_CTX
  bool has_last_finalized = true;  ///< prb_desc_ring.last_finalized_seq, since 5.19
  unsigned count_bits = 3;
  unsigned size_bits = 8;  ///< of the buffer, in each form
  std::optional<VirtAddr> at = {};

  /// Where the memory begins: by default an address that a word can hold.
  VirtAddr start() const {
    return at.value_or(VirtAddr{words.word_size == 8 ? 0xffffffff82000000 : 0xc2000000});
  }
  uint64_t buffer_size() const { return uint64_t{1} << size_bits; }
};

/// Memory that numbers are written into, as the shape says.
class PrintkMemory {
 public:
  explicit PrintkMemory(const PrintkShape& memory_shape) : shape(memory_shape) {}

  void put(uint64_t at, uint64_t value, unsigned size);
  void put_word(uint64_t at, uint64_t value) { put(at, value, shape.words.word_size); }
  void put_pointer(uint64_t at, uint64_t offset) { put_word(at, shape.start().value + offset); }
  void put_text(uint64_t at, std::string_view text);

  PrintkShape shape;
  std::vector<std::byte> bytes;
};

/// The lockless ring since 5.10. Ids begin as the kernel's do, and soon pass through zero.
class PrintkRing : public PrintkMemory {
 public:
  enum State : uint8_t { reserved, committed, finalized, reusable };

  explicit PrintkRing(const PrintkShape& shape = {});
  /// A record of facility 3 (daemon), level 4 (warn), of CPU 1, a thousand nanoseconds after the one before.
  void add(std::string_view text, State state = finalized, uint8_t level = 4);
  /// As dmesg -c does: what comes then is since the log was cleared.
  void clear();

  uint64_t count() const { return uint64_t{1} << shape.count_bits; }
  uint64_t id_mask() const { return shape.words.word_size == 8 ? UINT64_MAX >> 2 : UINT32_MAX >> 2; }
  uint64_t desc_at(uint64_t id) const { return kStructs + id % count() * layout.prb_desc.size; }
  uint64_t info_at(uint64_t id) const { return infos_ + id % count() * layout.printk_info.size; }
  /// Where prb_desc_ring.head_id is.
  uint64_t head_at() const { return kRing + layout.prb_desc_ring.head_id; }
  void put_state(uint64_t at, uint64_t id, State state) {
    put_word(at, id | uint64_t{state} << (shape.words.word_size * 8 - 2));
  }

  /// Where the ring's head, clear_seq and the descriptors begin.
  static constexpr uint64_t kRing = 64, kClear = 200, kStructs = 256;
  decode::PrintkRingLayout layout;
  uint64_t data = 0;  ///< where text begins
  uint64_t head = 0;  ///< id of the newest record

 private:
  void set_ends();

  uint64_t infos_ = 0;
  uint64_t tail_ = 0, lpos_ = 0, seq_ = 0;
};

/// Records of different lengths, from 3.5 to 5.9.
class PrintkRecords : public PrintkMemory {
 public:
  explicit PrintkRecords(const PrintkShape& shape = {});
  /// A record of facility 3, level 4. The oldest make room for it.
  void add(std::string_view text, std::string_view dictionary = "", uint8_t level = 4);
  /// As dmesg -c does.
  void clear();

  static constexpr uint64_t kBuffer = 64;
  decode::PrintkRecordsLayout layout;

 private:
  uint64_t length_at(uint64_t at) const;
  void set_ends();

  uint64_t first_ = 0, next_ = 0, time_ = 0;
  bool empty_ = true;
};

/// Nothing but text, until 3.4.
class PrintkText : public PrintkMemory {
 public:
  explicit PrintkText(const PrintkShape& shape = {});
  void add(std::string_view text);

  static constexpr uint64_t kBuffer = 64;
  decode::PrintkTextLayout layout;

 private:
  uint64_t end_ = 0;
};

}  // namespace kvista::test
