#include "decode/printk_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr uint64_t kMostBuffer = uint64_t{1} << 31;
constexpr size_t kChunk = size_t{64} << 10;
constexpr uint64_t kNanoseconds = 1000000000;

// A number at the front of `text` that `end` follows; both are then removed.
std::optional<uint64_t> take_number(std::string_view& text, char end) {
  uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto length = static_cast<size_t>(stop - text.data());
  if (error != std::errc{} || length == text.size() || *stop != end) return std::nullopt;
  text.remove_prefix(length + 1);
  return value;
}

// "<6>": facility * 8 + level.
void take_level(std::string_view& text, PrintkRecord& record) {
  std::string_view rest = text;
  if (!rest.starts_with('<')) return;
  rest.remove_prefix(1);
  const auto priority = take_number(rest, '>');
  if (!priority || *priority > 0x7ff) return;
  record.level = *priority & 7;
  record.facility = static_cast<uint8_t>(*priority >> 3);
  text = rest;
}

// "[    1.234567] ", with CONFIG_PRINTK_TIME.
void take_time(std::string_view& text, PrintkRecord& record) {
  std::string_view rest = text;
  if (!rest.starts_with('[')) return;
  rest.remove_prefix(std::min(rest.find_first_not_of(' ', 1), rest.size()));
  const auto seconds = take_number(rest, '.');
  if (!seconds || *seconds >= UINT64_MAX / kNanoseconds) return;
  const auto microseconds = take_number(rest, ']');
  if (!microseconds || *microseconds > 999999 || !rest.starts_with(' ')) return;
  record.ts_nsec = *seconds * kNanoseconds + *microseconds * 1000;
  text = rest.substr(1);
}

// `size` bytes at `start`, as far as they are there.
void append(const VirtReader& read, VirtAddr start, uint64_t size, std::string& text, PrintkLog& log) {
  for (uint64_t at = 0; at < size; at += kChunk) {
    const size_t want = std::min<uint64_t>(kChunk, size - at);
    const size_t before = text.size();
    text.resize(before + want);
    const size_t done = read(start + at, std::as_writable_bytes(std::span(text.data() + before, want)));
    text.resize(before + std::min(done, want));
    if (done >= want) continue;
    add_damage(log, fmt::format("the text at {:#x} is not in the image", start.value + at + done));
    log.cut = true;
  }
}

}  // namespace

PrintkLog read_printk_text(const VirtReader& read, const PrintkTextLayout& layout) {
  const ByteOrder order = layout.words.order;
  const VirtAddr buffer{read_number(read, layout.log_buf, layout.words.word_size, order, "log_buf")};
  const uint64_t size = read_number(read, layout.log_buf_len, 4, order, "log_buf_len");
  const uint64_t end = read_number(read, layout.log_end, 4, order, "log_end");
  const uint64_t logged = read_number(read, layout.logged_chars, 4, order, "logged_chars");
  if (size == 0 || size > kMostBuffer || (size & (size - 1)) != 0)
    throw FormatError(
        fmt::format("the log's buffer at {:#x} has {} bytes: no kernel's has, so that memory is damaged",
                    buffer.value, size),
        buffer.value);
  PrintkLog log;
  const uint64_t count = std::min(logged, size);
  const uint64_t first = (end - count) & (size - 1);
  const uint64_t to_end = std::min(count, size - first);
  std::string text;
  append(read, buffer + first, to_end, text, log);
  append(read, buffer, count - to_end, text, log);
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, length);
    PrintkRecord record;
    take_level(line, record);
    take_time(line, record);
    record.text = line;
    log.records.push_back(std::move(record));
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return log;
}

}  // namespace kvista::decode
