#include "images/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "images/statement.h"

namespace kvista::test {
namespace {

Statement find_statement(const std::string& name) {
  for (const auto statements : {machine_statements(), kernel_statements(), file_statements()})
    for (const Statement& statement : statements)
      if (statement.name == name) return statement;
  throw DescriptionError(fmt::format("\"{}\" is not known here", name));
}

void parse_line(std::string_view line, Description& out) {
  Words words(line.substr(0, line.find('#')));
  if (words.empty()) return;
  find_statement(words.next()).parse(words, out);
  words.expect_end();
}

}  // namespace

std::pair<std::string, std::string> split(const std::string& text, char at) {
  const size_t found = text.find(at);
  if (found == std::string::npos) throw DescriptionError(fmt::format("\"{}\" has no '{}'", text, at));
  return {text.substr(0, found), text.substr(found + 1)};
}

Range parse_range(const std::string& text) {
  const auto [start, end] = split(text, '-');
  const Range range{parse_size(start), parse_size(end)};
  if (range.end < range.start) throw DescriptionError(fmt::format("\"{}\" ends before it starts", text));
  return range;
}

std::vector<Range> parse_ranges(Words& words) {
  std::vector<Range> ranges;
  do ranges.push_back(parse_range(words.next()));
  while (!words.empty());
  return ranges;
}

uint64_t parse_size(std::string_view text) {
  const std::string_view whole = text;
  constexpr std::string_view kUnits = "KMGT";
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  unsigned shift = 0;
  if (const size_t unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
      unit != std::string_view::npos) {
    shift = static_cast<unsigned>(10 * (unit + 1));
    text.remove_suffix(1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    throw DescriptionError(fmt::format("\"{}\" is no number", whole));
  value <<= shift;
  return negative ? uint64_t{0} - value : value;
}

Description parse_description(std::string_view text) {
  Description out;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    try {
      parse_line(text.substr(0, end), out);
    } catch (const DescriptionError& error) {
      throw DescriptionError(fmt::format("line {}: {} ({})", number, error.what(), text.substr(0, end)));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (out.ram.empty()) out.ram = out.machine.architecture->ram;
  return out;
}

}  // namespace kvista::test
