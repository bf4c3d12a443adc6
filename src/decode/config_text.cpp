#include "decode/config_text.h"

#include <algorithm>
#include <charconv>

namespace kvista::decode {
namespace {

constexpr std::string_view kPrefix = "CONFIG_";
constexpr std::string_view kNotSet = " is not set";
constexpr std::string_view kTitle = " Kernel Configuration";
constexpr size_t kMostOptions = 1 << 17;  // 6.12 has some 20 000
constexpr size_t kLongestVersion = 64;

bool is_name(std::string_view name) {
  const auto part_of_name = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), part_of_name);
}

}  // namespace

ConfigText::ConfigText(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    add_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void ConfigText::add_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::string_view name = line;
  std::string_view value = "n";
  if (line.starts_with("# ")) {
    name.remove_prefix(2);
    if (name.ends_with(kTitle) && name.starts_with("Linux") && version_.empty()) {
      name.remove_suffix(kTitle.size());
      version_ = name.substr(name.rfind(' ') + 1).substr(0, kLongestVersion);
      return;
    }
    if (!name.ends_with(kNotSet)) return;
    name.remove_suffix(kNotSet.size());
  } else {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return;
    name = line.substr(0, equals);
    value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
  }
  if (!name.starts_with(kPrefix)) return;
  name.remove_prefix(kPrefix.size());
  if (!is_name(name) || options_.size() == kMostOptions) return;
  options_.insert_or_assign(std::string(name), std::string(value));
}

std::optional<std::string_view> ConfigText::value(std::string_view name) const {
  const auto at = options_.find(name);
  return at == options_.end() ? std::nullopt : std::optional<std::string_view>(at->second);
}

std::optional<uint64_t> ConfigText::number(std::string_view name) const {
  auto text = value(name);
  if (!text) return std::nullopt;
  const bool hex = text->starts_with("0x");
  if (hex) text->remove_prefix(2);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number, hex ? 16 : 10);
  if (error != std::errc{} || end != text->data() + text->size()) return std::nullopt;
  return number;
}

}  // namespace kvista::decode
