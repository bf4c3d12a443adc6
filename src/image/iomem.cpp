#include <charconv>
#include <optional>

#include "image/live.h"

namespace kvista::image {
namespace {

std::optional<uint64_t> take_hex(std::string_view& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

// "  00100000-3fffffff : System RAM": two spaces of indentation a level, the end inclusive.
std::optional<IomemEntry> parse_line(std::string_view line) {
  const size_t indent = line.find_first_not_of(' ');
  if (indent == std::string_view::npos) return std::nullopt;
  line.remove_prefix(indent);
  const auto first = take_hex(line);
  if (!first || !line.starts_with('-')) return std::nullopt;
  line.remove_prefix(1);
  const auto last = take_hex(line);
  constexpr std::string_view kSeparator = " : ";
  if (!last || *last < *first || *last == UINT64_MAX || !line.starts_with(kSeparator)) return std::nullopt;
  line.remove_prefix(kSeparator.size());
  return IomemEntry{
      {PhysAddr{*first}, *last - *first + 1}, static_cast<unsigned>(indent / 2), std::string(line)};
}

}  // namespace

std::vector<IomemEntry> parse_iomem(std::string_view text) {
  std::vector<IomemEntry> entries;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (auto entry = parse_line(text.substr(0, end))) entries.push_back(std::move(*entry));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return entries;
}

}  // namespace kvista::image
