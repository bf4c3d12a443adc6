// Words of C, as users write it in expressions and as the project's own declarations are written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kvista/error.h"

namespace kvista::syntax {

/// A text that makes no sense; the message shows where.
class SyntaxError : public UsageError {
 public:
  /// `text` is what was read, `at` the place in it, `found` what is wrong there.
  SyntaxError(std::string_view text, size_t at, const std::string& found);
};

enum class TokenKind : uint8_t { end, name, number, mark };

struct Token {
  TokenKind kind = TokenKind::end;
  std::string_view text;  ///< as written; a mark is as long as C has it: "->", "<<", "("
  size_t at = 0;          ///< where it begins
  uint64_t number = 0;
  bool is_unsigned = false;
  bool is_long = false;
};

/// Splits a text, which must outlive it, into tokens. Passes over white space and // comments. Characters in
/// quotes are numbers. Throws SyntaxError for what is no token.
class Lexer {
 public:
  explicit Lexer(std::string_view text);

  const Token& peek() const { return next_; }
  Token take();
  /// Takes the next token where it is this mark or word.
  bool accept(std::string_view text);
  /// Takes the next token, which must be this one.
  void expect(std::string_view text);
  /// Takes the next token, which must be a name.
  std::string_view expect_name(const char* what);
  [[noreturn]] void fail(const std::string& expected) const;

  std::string_view text() const { return text_; }
  /// Where the token that was taken last ends.
  size_t last_end() const { return last_end_; }
  /// All of the reader's state, to come back to.
  struct Mark {
    size_t at;
    Token next;
    size_t last_end;
  };
  Mark mark() const { return {at_, next_, last_end_}; }
  void back_to(const Mark& mark);

 private:
  Token scan();
  void skip_space();
  Token scan_number(size_t start);
  Token scan_character(size_t start);

  std::string_view text_;
  size_t at_ = 0;
  size_t last_end_ = 0;
  Token next_;
};

}  // namespace kvista::syntax
