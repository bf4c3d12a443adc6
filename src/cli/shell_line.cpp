#include "cli/shell_line.h"

#include <fmt/format.h>

#include "base/error.h"

namespace kvista::cli {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

bool is_space(char c) {
  return kSpace.find(c) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  std::vector<Statement> split() {
    while (skip_space()) take_one();
    finish();
    return std::move(statements_);
  }

 private:
  // Whether anything is left.
  bool skip_space() {
    while (at_ < line_.size() && is_space(line_[at_])) ++at_;
    return at_ < line_.size() && line_[at_] != '#';
  }

  void take_one() {
    const bool is_first = now_.words.empty() && !now_.is_redirected() && now_.input.empty();
    switch (line_[at_]) {
      case ';':
        ++at_;
        finish();
        break;
      case '!':
        if (!is_first) return take_word();
        now_.host = trimmed(line_.substr(at_ + 1));
        if (now_.host.empty()) now_.host = "exec \"${SHELL:-/bin/sh}\"";
        at_ = line_.size();
        break;
      case '|':
        take_pipe();
        break;
      case '>':
        now_.is_appended = line_.substr(at_).starts_with(">>");
        at_ += now_.is_appended ? 2 : 1;
        now_.output = take_file(now_.is_appended ? ">>" : ">");
        break;
      case '<':
        ++at_;
        now_.input = take_file("<");
        break;
      default:
        take_word();
    }
  }

  void take_word() { now_.words.push_back(word()); }

  void take_pipe() {
    if (now_.words.empty() && now_.input.empty()) throw UsageError("|: a command is missing before it");
    if (!now_.output.empty())
      throw UsageError("the output goes to a file or to another command, not to both");
    const size_t first = ++at_;
    unsigned depth = 0;
    while (at_ < line_.size() && (depth > 0 || line_[at_] != ';')) step(depth);
    now_.pipe = trimmed(line_.substr(first, at_ - first));
    if (now_.pipe.empty()) throw UsageError("|: a command is missing behind it");
  }

  std::string take_file(const char* sign) {
    if (!skip_space() || std::string_view(";|<>").find(line_[at_]) != std::string_view::npos)
      throw UsageError(fmt::format("{}: the name of a file is missing behind it", sign));
    return word();
  }

  // Over one character, or all that is quoted.
  void step(unsigned& depth) {
    const char c = line_[at_];
    if (c == '(' || c == '[') ++depth;
    if ((c == ')' || c == ']') && depth > 0) --depth;
    if (c == '\\' && at_ + 1 < line_.size()) ++at_;
    if (c == '\'' || c == '"') at_ = end_of_quote();
    ++at_;
  }

  size_t end_of_quote() const {
    const char quote = line_[at_];
    for (size_t at = at_ + 1; at < line_.size(); ++at) {
      if (line_[at] == quote) return at;
      if (line_[at] == '\\' && quote == '"') ++at;
    }
    throw UsageError(fmt::format("the quote {} at column {} has no end", quote, at_ + 1));
  }

  bool ends_word(unsigned depth) const {
    const char c = line_[at_];
    if (depth > 0) return false;
    if (c == '>' && at_ > 0 && line_[at_ - 1] == '-') return false;
    return is_space(c) || std::string_view(";|<>").find(c) != std::string_view::npos;
  }

  // In parentheses quotes stay: they are C's characters.
  std::string word() {
    std::string text;
    unsigned depth = 0;
    while (at_ < line_.size() && !ends_word(depth)) {
      const size_t first = at_;
      const char c = line_[at_];
      step(depth);
      const std::string_view part = line_.substr(first, at_ - first);
      if (c == '\'' && depth == 0)
        text += part.substr(1, part.size() - 2);
      else if (c == '"' && depth == 0)
        text += without_backslashes(part.substr(1, part.size() - 2));
      else if (c == '\\' && depth == 0)
        text += part.back();
      else
        text += part;
    }
    return text;
  }

  static std::string without_backslashes(std::string_view quoted) {
    std::string text;
    for (size_t at = 0; at < quoted.size(); ++at) {
      if (quoted[at] == '\\' && at + 1 < quoted.size() && (quoted[at + 1] == '"' || quoted[at + 1] == '\\'))
        ++at;
      text += quoted[at];
    }
    return text;
  }

  void finish() {
    if (!now_.words.empty() || !now_.host.empty() || !now_.input.empty())
      statements_.push_back(std::move(now_));
    else if (now_.is_redirected())
      throw UsageError(">: a command is missing before it");
    now_ = {};
  }

  std::string_view line_;
  size_t at_ = 0;
  Statement now_;
  std::vector<Statement> statements_;
};

}  // namespace

std::vector<Statement> split_line(std::string_view line) {
  return Splitter(line).split();
}

}  // namespace kvista::cli
