#include "kvista/vmcoreinfo.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kvista::vmcoreinfo {
namespace {

constexpr std::array kKinds = {Kind::symbol, Kind::size, Kind::offset, Kind::length, Kind::number};

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::optional<uint64_t> parse_digits(std::string_view text, int base) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// KIND(name) taken apart.
std::pair<Kind, std::string_view> split_key(std::string_view key) {
  for (const Kind kind : kKinds) {
    const std::string_view word = describe(kind);
    if (key.starts_with(word) && key.substr(word.size()).starts_with('(') && key.ends_with(')'))
      return {kind, key.substr(word.size() + 1, key.size() - word.size() - 2)};
  }
  return {Kind::text, key};
}

}  // namespace

const char* describe(Kind kind) {
  switch (kind) {
    case Kind::symbol:
      return "SYMBOL";
    case Kind::size:
      return "SIZE";
    case Kind::offset:
      return "OFFSET";
    case Kind::length:
      return "LENGTH";
    case Kind::number:
      return "NUMBER";
    case Kind::text:
      return "text";
  }
  return "";
}

std::optional<uint64_t> parse_number(std::string_view text, bool hex) {
  if (text.starts_with("0x") || text.starts_with("0X")) return parse_digits(text.substr(2), 16);
  if (text.starts_with('-')) {
    const auto magnitude = parse_digits(text.substr(1), 10);
    constexpr uint64_t kLeast = uint64_t{1} << 63;
    if (!magnitude || *magnitude > kLeast) return std::nullopt;
    return uint64_t{0} - *magnitude;
  }
  return parse_digits(text, hex ? 16 : 10);
}

VmcoreInfo::VmcoreInfo(std::string text) : text_(std::move(text)) {
  text_.resize(std::min(text_.size(), text_.find('\0')));
  std::string_view rest = text_;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      // The value may have lost digits: a wrong number is worse than none.
      warn(fmt::format("VMCOREINFO is cut off in line {} (\"{}\"), which is left out", number,
                       is_printable(rest) ? rest.substr(0, 60) : "unprintable"));
      break;
    }
    add_line(rest.substr(0, end), number);
    rest.remove_prefix(end + 1);
  }
}

// A note of garbage is not worth a sentence for each line.
void VmcoreInfo::warn(std::string sentence) {
  constexpr size_t kMostWarnings = 16;
  if (++faults_ <= kMostWarnings) {
    warnings_.push_back(std::move(sentence));
    return;
  }
  warnings_.resize(kMostWarnings);
  warnings_.push_back(
      fmt::format("VMCOREINFO has {} more lines that make no sense", faults_ - kMostWarnings));
}

void VmcoreInfo::add_line(std::string_view line, size_t number) {
  if (line.empty()) return;
  const size_t equals = line.find('=');
  const std::string_view key = line.substr(0, equals);
  if (equals == std::string_view::npos || equals == 0 || !is_printable(key)) {
    warn(fmt::format("VMCOREINFO line {} is no key=value line: left out", number));
    return;
  }
  const auto [kind, name] = split_key(key);
  Entry entry{kind, std::string(name), std::string(line.substr(equals + 1)), std::nullopt};
  if (kind != Kind::text) {
    entry.number = parse_number(entry.value, kind == Kind::symbol);
    if (!entry.number) warn(fmt::format("VMCOREINFO line {}: the value of {} is no number", number, key));
  } else if (!is_printable(entry.value)) {
    // 6.12-rc and several stable kernels of late 2024 wrote a garbage BUILD-ID.
    warn(fmt::format("VMCOREINFO line {}: the value of {} is garbage", number, key));
    return;
  }
  const auto [at, fresh] = index_.try_emplace({kind, entry.name}, entries_.size());
  if (fresh)
    entries_.push_back(std::move(entry));
  else
    entries_[at->second] = std::move(entry);
}

const Entry* VmcoreInfo::find(Kind kind, std::string_view name) const {
  const auto at = index_.find(std::pair(kind, std::string(name)));
  return at == index_.end() ? nullptr : &entries_[at->second];
}

std::optional<uint64_t> VmcoreInfo::number_of(Kind kind, std::string_view name) const {
  const Entry* entry = find(kind, name);
  return entry == nullptr ? std::nullopt : entry->number;
}

std::optional<uint64_t> VmcoreInfo::hex(std::string_view key) const {
  const auto value = text_of(key);
  return value ? parse_number(*value, true) : std::nullopt;
}

std::optional<uint64_t> VmcoreInfo::decimal(std::string_view key) const {
  const auto value = text_of(key);
  return value ? parse_number(*value, false) : std::nullopt;
}

std::optional<std::string_view> VmcoreInfo::text_of(std::string_view key) const {
  const Entry* entry = find(Kind::text, key);
  if (entry == nullptr) return std::nullopt;
  return entry->value;
}

}  // namespace kvista::vmcoreinfo
