#include "syntax/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace kvista::syntax {
namespace {

// Longest first.
constexpr std::array<std::string_view, 35> kMarks = {
    "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "->", "(", ")", "[", "]", "{", "}", ".", ",", ";",
    ":",  "?",  "*",  "&",  "+",  "-",  "~",  "!",  "/",  "%", "<", ">", "^", "|", "=", "@", "$"};

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_in_name(char c) {
  return is_name_start(c) || is_digit(c);
}

// An excerpt that fits a line, with the place marked.
std::string shown(std::string_view text, size_t at) {
  constexpr size_t kBefore = 40;
  constexpr size_t kAfter = 20;
  const size_t from = at > kBefore ? at - kBefore : 0;
  std::string line(text.substr(from, at - from));
  line += at < text.size() ? " >>" : "";
  line += text.substr(std::min(at, text.size()), kAfter);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return line;
}

// What stands in quotes behind a backslash; nothing for what C has there and users do not need.
std::optional<char> escaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '0':
      return '\0';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return std::nullopt;
  }
}

}  // namespace

SyntaxError::SyntaxError(std::string_view text, size_t at, const std::string& found)
    : UsageError(fmt::format("{}: {}", shown(text, at), found)) {}

Lexer::Lexer(std::string_view text) : text_(text) {
  next_ = scan();
}

Token Lexer::take() {
  const Token taken = next_;
  last_end_ = taken.at + taken.text.size();
  next_ = scan();
  return taken;
}

bool Lexer::accept(std::string_view text) {
  if (next_.kind == TokenKind::end || next_.kind == TokenKind::number || next_.text != text) return false;
  take();
  return true;
}

void Lexer::expect(std::string_view text) {
  if (!accept(text)) fail(fmt::format("\"{}\"", text));
}

std::string_view Lexer::expect_name(const char* what) {
  if (next_.kind != TokenKind::name) fail(what);
  return take().text;
}

void Lexer::fail(const std::string& expected) const {
  const std::string found =
      next_.kind == TokenKind::end ? std::string("the end") : fmt::format("\"{}\"", next_.text);
  throw SyntaxError(text_, next_.at, fmt::format("expected {}, found {}", expected, found));
}

void Lexer::back_to(const Mark& mark) {
  at_ = mark.at;
  next_ = mark.next;
  last_end_ = mark.last_end;
}

void Lexer::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (text_.substr(at_).starts_with("//")) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else {
      return;
    }
  }
}

Token Lexer::scan() {
  skip_space();
  const size_t start = at_;
  if (start >= text_.size()) return {TokenKind::end, {}, text_.size()};
  const char first = text_[start];
  if (is_name_start(first)) {
    while (at_ < text_.size() && is_in_name(text_[at_])) ++at_;
    return {TokenKind::name, text_.substr(start, at_ - start), start};
  }
  if (is_digit(first)) return scan_number(start);
  if (first == '\'') return scan_character(start);
  for (const std::string_view mark : kMarks)
    if (text_.substr(start).starts_with(mark)) {
      at_ += mark.size();
      return {TokenKind::mark, text_.substr(start, mark.size()), start};
    }
  throw SyntaxError(text_, start, "this is no word of C");
}

Token Lexer::scan_number(size_t start) {
  while (at_ < text_.size() && is_in_name(text_[at_])) ++at_;
  const std::string_view word = text_.substr(start, at_ - start);
  const bool is_hex = word.starts_with("0x") || word.starts_with("0X");
  const bool is_octal = !is_hex && word.size() > 1 && word[0] == '0' && is_digit(word[1]);
  std::string_view digits = word.substr(is_hex ? 2 : 0);
  Token token{TokenKind::number, word, start};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), token.number,
                                            is_hex     ? 16
                                            : is_octal ? 8
                                                       : 10);
  if (error == std::errc::result_out_of_range)
    throw SyntaxError(text_, start, "this number has more than 64 bits");
  if (error != std::errc{}) throw SyntaxError(text_, start, "this is no number");
  std::string_view suffix = digits.substr(static_cast<size_t>(end - digits.data()));
  for (const char c : suffix) {
    if (c == 'u' || c == 'U')
      token.is_unsigned = true;
    else if (c == 'l' || c == 'L')
      token.is_long = true;
    else
      throw SyntaxError(text_, start, "this is no number");
  }
  // As C chooses the type: a number that does not fit int is long; unsigned without a "u" only in
  // hexadecimal and octal.
  if (token.number > 0x7fffffff && !((is_hex || is_octal || token.is_unsigned) && token.number <= 0xffffffff))
    token.is_long = true;
  if (token.number > (token.is_long ? INT64_MAX : INT32_MAX)) token.is_unsigned = true;
  return token;
}

Token Lexer::scan_character(size_t start) {
  const std::string_view rest = text_.substr(start);
  const bool is_escaped = rest.size() > 1 && rest[1] == '\\';
  const size_t size = is_escaped ? 4 : 3;
  if (rest.size() < size || rest[1] == '\'' || rest[size - 1] != '\'')
    throw SyntaxError(text_, start, "this is no character");
  const auto character = is_escaped ? escaped(rest[2]) : rest[1];
  if (!character) throw SyntaxError(text_, start, "this character is not known");
  at_ += size;
  Token token{TokenKind::number, rest.substr(0, size), start};
  token.number = static_cast<unsigned char>(*character);
  return token;
}

}  // namespace kvista::syntax
