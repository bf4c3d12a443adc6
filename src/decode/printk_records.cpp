#include "decode/printk_records.h"

#include <fmt/format.h>

#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr uint64_t kMostBuffer = uint64_t{1} << 31;  // log_buf_len= takes no more
constexpr uint64_t kCallerSize = 4;
constexpr uint64_t kPlainHead = 16;  // of struct printk_log without a caller

std::string_view as_characters(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The dictionary: "KEY=value" strings with a NUL between each two.
void add_dictionary(PrintkRecord& record, std::string_view dictionary) {
  while (!dictionary.empty()) {
    const size_t end = std::min(dictionary.find('\0'), dictionary.size());
    const std::string_view entry = dictionary.substr(0, end);
    if (entry.starts_with("SUBSYSTEM=")) record.subsystem = entry.substr(10);
    if (entry.starts_with("DEVICE=")) record.device = entry.substr(7);
    dictionary.remove_prefix(std::min(end + 1, dictionary.size()));
  }
}

class Reader {
 public:
  Reader(const VirtReader& read, const PrintkRecordsLayout& layout)
      : read_(read), layout_(layout), order_(layout.words.order) {}

  PrintkLog take() {
    check_layout();
    const unsigned word = layout_.words.word_size;
    buffer_ = VirtAddr{read_number(read_, layout_.log_buf, word, order_, "log_buf")};
    size_ = read_number(read_, layout_.log_buf_len, 4, order_, "log_buf_len");
    index_ = read_number(read_, layout_.first_idx, 4, order_, "log_first_idx");
    next_ = read_number(read_, layout_.next_idx, 4, order_, "log_next_idx");
    if (size_ == 0 || size_ > kMostBuffer || index_ >= size_ || next_ > size_)
      throw FormatError(
          fmt::format("the log's buffer at {:#x} has {} bytes, with records from {} to {}: no kernel's "
                      "has, so that memory is damaged",
                      buffer_.value, size_, index_, next_),
          buffer_.value);
    if (layout_.clear_idx) find_clear();
    walk();
    if (clear_ == next_) log_.first_since_clear = log_.records.size();
    // What was cleared last has been overwritten since.
    if (clear_ && !log_.first_since_clear && !log_.cut) log_.first_since_clear = 0;
    return std::move(log_);
  }

 private:
  void check_layout() const {
    const auto& head = layout_.head;
    require_member(head.ts_nsec, 8, head.size, "printk_log.ts_nsec");
    require_member(head.len, 2, head.size, "printk_log.len");
    require_member(head.text_len, 2, head.size, "printk_log.text_len");
    require_member(head.dict_len, 4, head.size, "printk_log.dict_len");
  }

  void find_clear() {
    try {
      clear_ = read_number(read_, *layout_.clear_idx, 4, order_, "clear_idx");
    } catch (const FormatError&) {
      // Not in the image: then it is not known.
    }
  }

  // A record of no length says that the next one is at the buffer's start. No more than one round.
  void walk() {
    bool wrapped = next_ > index_;
    while (index_ != next_) {
      const auto head = bytes_at(index_, layout_.head.size);
      if (head.empty()) return stop("its head is not in the image, or beyond the buffer's end");
      const uint64_t length = *number_in(head, layout_.head.len, 2, order_);
      if (length == 0) {
        if (wrapped || index_ == 0) return stop("it has no length");
        wrapped = true;
        index_ = 0;
        continue;
      }
      if (wrapped && index_ + length > next_) return stop("it goes beyond the last record's end");
      if (!take_record(std::vector(head.begin(), head.end()), length)) return;
      index_ += length;
    }
  }

  bool take_record(const std::vector<std::byte>& head, uint64_t length) {
    const uint64_t text = *number_in(head, layout_.head.text_len, 2, order_);
    const uint64_t dictionary = *number_in(head, layout_.head.dict_len, 2, order_);
    if (length < layout_.head.size + text + dictionary) {
      stop(fmt::format("it has {} bytes, and texts of {} and {}", length, text, dictionary));
      return false;
    }
    if (clear_ == index_) log_.first_since_clear = log_.records.size();
    const auto body = bytes_at(index_ + layout_.head.size, text + dictionary);
    if (body.size() != text + dictionary) {
      add_damage(log_, fmt::format("the text of the record at {:#x} is not in the image", index_));
      return true;
    }
    PrintkRecord record;
    record.ts_nsec = number_in(head, layout_.head.ts_nsec, 8, order_);
    // `u8 facility; u8 flags:5; u8 level:3;` stand behind dict_len, and are not exported.
    record.facility = static_cast<uint8_t>(*number_in(head, layout_.head.dict_len + 2, 1, order_));
    record.level =
        level_of(static_cast<uint8_t>(*number_in(head, layout_.head.dict_len + 3, 1, order_)), order_);
    // Behind them the caller, with CONFIG_PRINTK_CALLER (15ff2069cb7f of 5.1).
    if (layout_.head.size >= kPlainHead + kCallerSize)
      if (const auto caller = number_in(head, layout_.head.dict_len + 4, 4, order_))
        record.caller_id = static_cast<uint32_t>(*caller);
    record.text = as_characters(body.first(text));
    add_dictionary(record, as_characters(body.subspan(text)));
    log_.records.push_back(std::move(record));
    return true;
  }

  void stop(std::string_view why) {
    add_damage(log_, fmt::format("of the record at offset {:#x} of the buffer {}", index_, why));
    log_.cut = true;
  }

  // Valid until the next call.
  std::span<const std::byte> bytes_at(uint64_t offset, uint64_t size) {
    if (offset > size_ || size > size_ - offset) return {};
    scratch_.resize(size);
    if (read_(buffer_ + offset, scratch_) != size) return {};
    return scratch_;
  }

  const VirtReader& read_;
  const PrintkRecordsLayout& layout_;
  ByteOrder order_;
  VirtAddr buffer_;
  uint64_t size_ = 0, index_ = 0, next_ = 0;
  std::optional<uint64_t> clear_;
  std::vector<std::byte> scratch_;
  PrintkLog log_;
};

}  // namespace

PrintkLog read_printk_records(const VirtReader& read, const PrintkRecordsLayout& layout) {
  return Reader(read, layout).take();
}

}  // namespace kvista::decode
