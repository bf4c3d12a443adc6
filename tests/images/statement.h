// The words of a statement, and the statements that there are.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "images/description.h"

namespace kvista::test {

/// The words of a statement, taken from the left. Words with '=' are options, which can stand anywhere.
class Words {
 public:
  explicit Words(std::string_view line) {
    while (!line.empty()) {
      const size_t end = std::min(line.find(' '), line.size());
      if (end > 0) words_.emplace_back(line.substr(0, end));
      line.remove_prefix(std::min(end + 1, line.size()));
    }
  }

  bool empty() const { return words_.empty(); }
  std::string next() {
    if (words_.empty()) throw DescriptionError("a word is missing");
    std::string word = std::move(words_.front());
    words_.erase(words_.begin());
    return word;
  }
  std::vector<std::string> rest() { return std::exchange(words_, {}); }
  std::string joined() {
    std::string text;
    for (const std::string& word : rest()) text += fmt::format("{}{}", text.empty() ? "" : " ", word);
    return text;
  }

  /// The value of option `name`, removed from the statement.
  std::optional<std::string> option(std::string_view name) {
    for (auto at = words_.begin(); at != words_.end(); ++at) {
      if (!at->starts_with(name) || at->size() <= name.size() || (*at)[name.size()] != '=') continue;
      std::string value = at->substr(name.size() + 1);
      words_.erase(at);
      return value;
    }
    return std::nullopt;
  }
  template <typename T>
  void number(std::string_view name, T& into) {
    if (const auto text = option(name)) into = static_cast<T>(parse_size(*text));
  }
  void number(std::string_view name, std::optional<uint64_t>& into) {
    if (const auto text = option(name)) into = parse_size(*text);
  }
  void flag(std::string_view name, bool& into) {
    if (const auto text = option(name)) into = *text == "yes";
  }
  bool word(std::string_view name) {
    const auto at = std::find(words_.begin(), words_.end(), name);
    if (at == words_.end()) return false;
    words_.erase(at);
    return true;
  }
  void expect_end() const {
    if (!words_.empty()) throw DescriptionError(fmt::format("\"{}\" is not understood", words_.front()));
  }

 private:
  std::vector<std::string> words_;
};

/// What `name` stands for. Throws DescriptionError.
template <typename T, size_t N>
T choose(const std::array<std::pair<std::string_view, T>, N>& names, std::string_view name) {
  for (const auto& [known, value] : names)
    if (known == name) return value;
  throw DescriptionError(fmt::format("\"{}\" is not known here", name));
}

/// What is before and behind the first `at`. Throws DescriptionError where there is none.
std::pair<std::string, std::string> split(const std::string& text, char at);
/// "START-END", the end not included; or all that is left of a statement, one at least.
Range parse_range(const std::string& text);
std::vector<Range> parse_ranges(Words& words);

/// What follows a statement's first word goes into the description.
struct Statement {
  std::string_view name;
  void (*parse)(Words&, Description&);
};
/// The machine, its memory, its page tables.
std::span<const Statement> machine_statements();
/// The kernel: its note, symbols, objects.
std::span<const Statement> kernel_statements();
/// The file, and the running system's files.
std::span<const Statement> file_statements();

}  // namespace kvista::test
