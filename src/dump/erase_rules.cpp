#include "dump/erase_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "syntax/lexer.h"

namespace kvista::dump {
namespace {

using syntax::Lexer;
using syntax::TokenKind;

constexpr size_t kMostDepth = 8;  // of loops in loops
constexpr std::string_view kBlank = " \t\r";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// A comment begins with # at the start of a line or behind a blank.
std::string_view without_comment(std::string_view line) {
  for (size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1))
    if (at == 0 || kBlank.find(line[at - 1]) != std::string_view::npos) return line.substr(0, at);
  return line;
}

// The first word, which is taken away.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find_first_of(kBlank));
  text = trimmed(text.substr(word.size()));
  return word;
}

// An expression, the word that ends it, and what stands behind that.
struct Clause {
  std::string_view expression;
  std::string_view word;  // empty: the expression goes up to the end
  std::string_view rest;
};

// In an expression no name follows an operand: so a word there does not belong to it. What is behind the word
// is not looked at.
template <size_t Count>
Clause split_at(std::string_view text, const std::array<std::string_view, Count>& words) {
  Lexer lexer(text);
  size_t depth = 0;
  bool is_behind_operand = false;
  for (;;) {
    const syntax::Token& next = lexer.peek();
    if (next.kind == TokenKind::end) return {trimmed(text), {}, {}};
    if (next.kind == TokenKind::name && is_behind_operand && depth == 0 &&
        std::find(words.begin(), words.end(), next.text) != words.end())
      return {trimmed(text.substr(0, next.at)), next.text, trimmed(text.substr(next.at + next.text.size()))};
    if (next.text == "(" || next.text == "[") ++depth;
    if ((next.text == ")" || next.text == "]") && depth > 0) --depth;
    is_behind_operand = next.kind != TokenKind::mark || next.text == ")" || next.text == "]";
    lexer.take();
  }
}

// "comm", "list.next".
bool is_member(std::string_view text) {
  Lexer lexer(text);
  do {
    if (lexer.take().kind != TokenKind::name) return false;
  } while (lexer.accept("."));
  return lexer.peek().kind == TokenKind::end;
}

class RuleReader {
 public:
  RuleReader(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  std::vector<EraseRule> read() {
    std::vector<EraseRule> rules;
    while (next_line()) {
      if (rule_.text == "endfor") fail("there is no loop that it could end");
      rules.push_back(read_rule(0));
    }
    return rules;
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    throw FormatError(about_rule(path_, rule_, why), line_start_);
  }

  // The next line that says something goes to `rule_`.
  bool next_line() {
    while (at_ < text_.size()) {
      line_start_ = at_;
      const size_t end = std::min(text_.find('\n', at_), text_.size());
      const std::string_view line = trimmed(without_comment(text_.substr(at_, end - at_)));
      at_ = end + 1;
      ++line_;
      if (line.empty()) continue;
      rule_ = {};
      rule_.line = line_;
      rule_.text = line;
      return true;
    }
    return false;
  }

  EraseRule read_rule(size_t depth) {
    const std::string text = rule_.text;  // which what is read of it refers to
    std::string_view rest = text;
    if (rest.starts_with('[')) return read_section(rest, depth);
    const std::string_view word = take_word(rest);
    try {
      if (word == "erase") return read_erase(rest);
      if (word == "for") return read_loop(rest, depth);
    } catch (const syntax::SyntaxError& error) {
      fail(error.what());
    }
    fail("expected erase, for, endfor, or the name of a module in brackets");
  }

  EraseRule read_section(std::string_view text, size_t depth) {
    if (depth != 0) fail("a loop cannot go on in another section: endfor is missing");
    const std::string_view name = text.ends_with(']') ? trimmed(text.substr(1, text.size() - 2)) : "";
    if (name.empty() || name.find_first_of("[] \t") != std::string_view::npos)
      fail("expected the name of a module, or vmlinux, in brackets");
    rule_.kind = EraseRule::Kind::section;
    rule_.name = name;
    return std::move(rule_);
  }

  EraseRule read_erase(std::string_view text) {
    constexpr std::array<std::string_view, 2> kWords = {"size", "nullify"};
    const Clause clause = split_at(text, kWords);
    if (clause.expression.empty()) fail("what is to be erased is missing");
    rule_.expression = clause.expression;
    if (clause.word == "nullify" && !clause.rest.empty()) fail("nothing can stand behind nullify");
    if (clause.word == "size" && clause.rest.empty()) fail("how many bytes is missing behind size");
    rule_.is_nullify = clause.word == "nullify";
    rule_.size = clause.rest;
    return std::move(rule_);
  }

  EraseRule read_loop(std::string_view text, size_t depth) {
    constexpr std::array<std::string_view, 2> kWords = {"via", "within"};
    if (depth >= kMostDepth) fail(fmt::format("loops are more than {} deep", kMostDepth));
    rule_.kind = EraseRule::Kind::loop;
    rule_.name = take_word(text);
    if (!is_member(rule_.name) || rule_.name.find('.') != std::string::npos)
      fail("expected a name for the elements behind for");
    if (take_word(text) != "in") fail("expected in behind the name of the elements");
    const Clause clause = split_at(text, kWords);
    if (clause.expression.empty()) fail("what the loop goes through is missing");
    rule_.expression = clause.expression;
    if (clause.word == "via") read_via(clause.rest);
    if (clause.word == "within") read_within(clause.rest);
    EraseRule loop = std::move(rule_);
    read_body(loop, depth);
    return loop;
  }

  void read_via(std::string_view member) {
    if (member.empty() || !is_member(member)) fail("expected the member that leads to the next, behind via");
    rule_.via = member;
  }

  void read_within(std::string_view text) {
    constexpr std::string_view kStruct = "struct ";
    if (text.starts_with(kStruct)) text = trimmed(text.substr(kStruct.size()));
    const size_t colon = text.find(':');
    const std::string_view name = trimmed(text.substr(0, colon));
    const std::string_view link = colon == std::string_view::npos ? "" : trimmed(text.substr(colon + 1));
    if (name.empty() || !is_member(name) || name.find('.') != std::string_view::npos ||
        (colon != std::string_view::npos && (link.empty() || !is_member(link))))
      fail("expected STRUCT:MEMBER behind within");
    rule_.within = name;
    rule_.link = link;
  }

  void read_body(EraseRule& loop, size_t depth) {
    while (next_line()) {
      if (rule_.text == "endfor") return;
      loop.body.push_back(read_rule(depth + 1));
    }
    rule_ = std::move(loop);
    fail("the loop has no end: endfor is missing");
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
  size_t line_ = 0;
  size_t line_start_ = 0;
  EraseRule rule_;  // of the line that is read
};

}  // namespace

std::vector<EraseRule> parse_erase_rules(std::string_view text, const std::string& path) {
  return RuleReader(text, path).read();
}

std::string about_rule(const std::string& path, const EraseRule& rule, std::string_view why) {
  constexpr size_t kMostShown = 120;
  std::string text = rule.text.substr(0, kMostShown);
  if (text.size() < rule.text.size()) text += "...";
  // A file of another kind may be taken for one of rules.
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return fmt::format("{}:{}: {}: {}", path, rule.line, text, why);
}

}  // namespace kvista::dump
