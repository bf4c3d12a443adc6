#include "decode/symbol_text.h"

#include <charconv>
#include <utility>

namespace kvista::decode {
namespace {

// A name has at most 511 characters (KSYM_NAME_LEN), a module's 55.
constexpr size_t kLongestLine = 1024;

}  // namespace

void SymbolTextParser::add(std::string_view piece) {
  for (;;) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (end == std::string_view::npos || !begun_.empty()) {
      // What is longer than any line stays so, and is counted as nonsense.
      const size_t room = kLongestLine + 1 - begun_.size();
      begun_.append(part.substr(0, room));
      if (end == std::string_view::npos) return;
      add_line(std::exchange(begun_, {}));
    } else {
      add_line(part);
    }
    piece.remove_prefix(end + 1);
  }
}

FoundSymbols SymbolTextParser::finish() {
  if (!begun_.empty()) add_line(std::exchange(begun_, {}));
  return std::move(result_);
}

void SymbolTextParser::add_line(std::string_view line) {
  uint64_t address = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), address, 16);
  const auto digits = static_cast<size_t>(end - line.data());
  constexpr size_t kTypeAndSpaces = 3;  // " T "
  if (error != std::errc{} || line.size() > kLongestLine || line.size() <= digits + kTypeAndSpaces ||
      line[digits] != ' ' || line[digits + 2] != ' ') {
    ++result_.nonsense;
    return;
  }
  const std::string_view name = line.substr(digits + kTypeAndSpaces);
  if (name.find_first_of("\t ") != std::string_view::npos) return;  // a module's
  ++result_.count;
  if (address != 0) ++result_.nonzero;
  if (visit_) visit_(VirtAddr{address}, line[digits + 1], name);
  if (names_.contains(name)) result_.addresses[std::string(name)].insert(VirtAddr{address});
}

}  // namespace kvista::decode
