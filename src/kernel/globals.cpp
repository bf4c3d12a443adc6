#include "kernel/globals.h"

#include <algorithm>

namespace kvista::kernel {
namespace {

Requirement parse_requirement(syntax::Lexer& lexer) {
  Requirement requirement;
  requirement.is_absent = lexer.accept("!");
  requirement.is_symbol = lexer.accept("symbol");
  if (!requirement.is_symbol && !lexer.accept("union")) lexer.expect("struct");
  requirement.name = lexer.expect_name("a name");
  if (!requirement.is_symbol && lexer.accept(".")) requirement.member = lexer.expect_name("a member's name");
  return requirement;
}

GlobalDeclaration parse_one(syntax::Lexer& lexer) {
  GlobalDeclaration one;
  one.is_per_cpu = lexer.accept("__percpu");
  one.declaration = syntax::parse_declaration(lexer);
  while (lexer.accept("requires")) one.requirements.push_back(parse_requirement(lexer));
  lexer.expect(";");
  return one;
}

struct ByName {
  bool operator()(const GlobalDeclaration& one, std::string_view name) const {
    return one.declaration.name < name;
  }
  bool operator()(std::string_view name, const GlobalDeclaration& one) const {
    return name < one.declaration.name;
  }
  bool operator()(const GlobalDeclaration& one, const GlobalDeclaration& other) const {
    return one.declaration.name < other.declaration.name;
  }
};

}  // namespace

std::vector<GlobalDeclaration> parse_declarations(std::string_view text) {
  syntax::Lexer lexer(text);
  std::vector<GlobalDeclaration> all;
  while (lexer.peek().kind != syntax::TokenKind::end) all.push_back(parse_one(lexer));
  std::stable_sort(all.begin(), all.end(), ByName{});
  return all;
}

std::span<const GlobalDeclaration> all_declarations() {
  static const std::vector<GlobalDeclaration> kAll = parse_declarations(kGlobalsText);
  return kAll;
}

std::span<const GlobalDeclaration> declarations_of(std::string_view name) {
  const auto all = all_declarations();
  const auto [first, last] = std::equal_range(all.begin(), all.end(), name, ByName{});
  return {first, last};
}

}  // namespace kvista::kernel
