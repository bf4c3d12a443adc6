#include "syntax/declaration.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace kvista::syntax {
namespace {

constexpr unsigned kMostDepth = 32;
constexpr size_t kMostDerivations = 64;
constexpr size_t kMostMembers = 256;

constexpr std::array<std::string_view, 3> kQualifiers = {"const", "volatile", "restrict"};
constexpr std::array<std::string_view, 10> kIntegerWords = {"unsigned", "signed", "char",  "short", "int",
                                                            "long",     "void",   "_Bool", "bool",  "float"};

// 0: it is none.
uint8_t qualifier(std::string_view word) {
  const auto* const found = std::find(kQualifiers.begin(), kQualifiers.end(), word);
  return found == kQualifiers.end() ? 0 : static_cast<uint8_t>(1 << (found - kQualifiers.begin()));
}
bool is_qualifier(std::string_view word) {
  return qualifier(word) != 0;
}
bool is_integer_word(std::string_view word) {
  return word == "double" ||
         std::find(kIntegerWords.begin(), kIntegerWords.end(), word) != kIntegerWords.end();
}

Tag tag_of(std::string_view word) {
  if (word == "struct") return Tag::structure;
  if (word == "union") return Tag::union_type;
  return word == "enum" ? Tag::enumeration : Tag::none;
}

class Parser {
 public:
  explicit Parser(Lexer& lexer) : lexer_(lexer) {}

  Declaration declaration(bool needs_name) {
    if (++depth_ > kMostDepth) lexer_.fail("a type that is not so deep");
    Declaration result;
    base(result.type);
    declarator(result, needs_name);
    --depth_;
    return result;
  }

 private:
  uint8_t qualifiers() {
    uint8_t all = 0;
    while (lexer_.peek().kind == TokenKind::name && is_qualifier(lexer_.peek().text))
      all |= qualifier(lexer_.take().text);
    return all;
  }

  void base(TypeName& type) {
    type.qualifiers |= qualifiers();
    if (lexer_.peek().kind != TokenKind::name) lexer_.fail("a type");
    type.tag = tag_of(lexer_.peek().text);
    if (type.tag != Tag::none) {
      lexer_.take();
      if (type.tag != Tag::enumeration && lexer_.accept("{"))
        members(type);
      else
        type.name = lexer_.expect_name("the type's name");
    } else if (is_integer_word(lexer_.peek().text)) {
      type.name = integer(type.qualifiers);
    } else {
      type.name = lexer_.take().text;
    }
    type.qualifiers |= qualifiers();
  }

  void members(TypeName& type) {
    while (!lexer_.accept("}")) {
      if (type.members.size() >= kMostMembers) lexer_.fail("fewer members");
      type.members.push_back(declaration(true));
      lexer_.expect(";");
    }
  }

  // C allows the words in any order.
  std::string integer(uint8_t& qualifiers) {
    bool is_unsigned = false;
    bool is_signed = false;
    unsigned longs = 0;
    std::string_view kind;
    for (; lexer_.peek().kind == TokenKind::name; lexer_.take()) {
      const std::string_view word = lexer_.peek().text;
      qualifiers |= qualifier(word);
      if (is_qualifier(word)) continue;
      if (!is_integer_word(word)) break;
      if (word == "unsigned")
        is_unsigned = true;
      else if (word == "signed")
        is_signed = true;
      else if (word == "long")
        ++longs;
      else if (word != "int" || kind.empty())
        kind = kind == "int" || kind.empty() ? word : kind;
    }
    if (longs > 0 && (kind.empty() || kind == "int")) kind = longs == 1 ? "long" : "long long";
    if (kind.empty()) kind = "int";
    if (kind == "_Bool") kind = "bool";
    if (is_unsigned) return fmt::format("unsigned {}", kind);
    return is_signed && kind == "char" ? "signed char" : std::string(kind);
  }

  // From the name outwards: first what is in parentheses, then what follows it, then the stars before it.
  void declarator(Declaration& into, bool needs_name) {
    if (++depth_ > kMostDepth) lexer_.fail("a declaration that is not so deep");
    while (lexer_.accept("*")) add(into.type, {DerivationKind::pointer, 0, {}, qualifiers()});
    Declaration inner;
    if (lexer_.accept("(")) {
      declarator(inner, needs_name);
      lexer_.expect(")");
    } else if (lexer_.peek().kind == TokenKind::name && needs_name) {
      inner.name = lexer_.take().text;
    } else if (needs_name) {
      lexer_.fail("a name");
    }
    std::vector<Derivation> behind;
    while (suffix(behind)) {
    }
    std::reverse(behind.begin(), behind.end());
    for (Derivation& one : behind) add(into.type, std::move(one));
    for (Derivation& one : inner.type.derivations) add(into.type, std::move(one));
    into.name = std::move(inner.name);
    --depth_;
  }

  bool suffix(std::vector<Derivation>& into) {
    if (into.size() > kMostDerivations) lexer_.fail("a simpler type");
    if (lexer_.accept("(")) {
      // Which parameters it takes does not matter to where it is.
      for (unsigned open = 1; open > 0;) {
        const Token token = lexer_.take();
        if (token.kind == TokenKind::end) lexer_.fail("\")\"");
        if (token.text == "(") ++open;
        if (token.text == ")") --open;
      }
      into.push_back({DerivationKind::function, 0, {}, 0});
      return true;
    }
    if (!lexer_.accept("[")) return false;
    Derivation array{DerivationKind::array, 0, {}, 0};
    if (lexer_.peek().kind == TokenKind::number)
      array.count = lexer_.take().number;
    else if (lexer_.peek().kind == TokenKind::name)
      array.count_name = lexer_.take().text;
    lexer_.expect("]");
    into.push_back(std::move(array));
    return true;
  }

  void add(TypeName& type, Derivation derivation) {
    if (type.derivations.size() >= kMostDerivations) lexer_.fail("a simpler type");
    type.derivations.push_back(std::move(derivation));
  }

  Lexer& lexer_;
  unsigned depth_ = 0;
};

}  // namespace

bool is_type_keyword(std::string_view word) {
  return tag_of(word) != Tag::none || is_integer_word(word) || is_qualifier(word);
}

TypeName parse_type_name(Lexer& lexer) {
  return Parser(lexer).declaration(false).type;
}

Declaration parse_declaration(Lexer& lexer) {
  return Parser(lexer).declaration(true);
}

}  // namespace kvista::syntax
