// What users and declarations write, of any bytes: as an expression, as a type, and as declarations.
#include "syntax/expression.h"

#include <string_view>

#include "base/error.h"
#include "fuzz/targets.h"

namespace kvista::fuzz {
namespace {

using syntax::Node;
using syntax::Op;

constexpr size_t kMostNodes = 1000;
constexpr size_t kMostMessage = 400;

bool is_known_type(std::string_view name, const void*) {
  return name == "u32" || name == "atomic_t";
}
constexpr syntax::TypeNames kTypes{is_known_type, nullptr};

void check_type(const syntax::TypeName& type) {
  require(!type.name.empty() || type.tag == syntax::Tag::structure || type.tag == syntax::Tag::union_type,
          "only what is defined on the spot has no name");
  require(type.members.empty() || type.name.empty(), "a type is named or defined");
  require(type.derivations.size() <= 64, "a type is simple");
  for (const syntax::Declaration& member : type.members) {
    require(!member.name.empty(), "each member has a name");
    check_type(member.type);
  }
}

size_t operands_of(const Node& node) {
  switch (node.op) {
    case Op::number:
    case Op::name:
    case Op::size_of_type:
      return 0;
    case Op::per_cpu:
    case Op::member:
    case Op::plus:
    case Op::minus:
    case Op::logical_not:
    case Op::complement:
    case Op::dereference:
    case Op::address_of:
    case Op::cast:
    case Op::size_of:
      return 1;
    case Op::call:
      return node.name == "offsetof" ? 0 : node.name == "container_of" ? 1 : 2;
    case Op::conditional:
      return 3;
    default:
      return 2;
  }
}

size_t check_node(const Node& node) {
  require(node.at < node.end, "what is written has a place");
  require(node.operands.size() == operands_of(node), "each operator has its operands");
  if (node.op == Op::cast || node.op == Op::size_of_type) check_type(node.type);
  if (node.op == Op::name || node.op == Op::member) require(!node.name.empty(), "a name has a name");
  if (node.op == Op::number) {
    require(node.is_long || node.number <= UINT32_MAX, "what does not fit int is long");
    require(node.is_unsigned || node.number <= INT64_MAX, "what does not fit long is unsigned");
  }
  size_t nodes = 1;
  for (const auto& operand : node.operands) {
    require(operand->at >= node.at && operand->end <= node.end, "operands are within their operator's text");
    nodes += check_node(*operand);
  }
  return nodes;
}

// Whether `parse` takes the text. Nothing but a short message may come instead.
template <class Parse>
bool takes(const Parse& parse) {
  try {
    parse();
    return true;
  } catch (const syntax::SyntaxError& error) {
    require(std::string_view(error.what()).size() <= kMostMessage, "a message fits a few lines");
    return false;
  }
}

void check_expression(std::string_view text) {
  const auto root = syntax::parse_expression(text, kTypes);
  require(root->end <= text.size(), "an expression is within the text");
  require(check_node(*root) <= kMostNodes, "an expression is short");
  // What is written for an operand is read alike alone.
  for (const auto& operand : root->operands) {
    const auto alone = syntax::parse_expression(text.substr(operand->at, operand->end - operand->at), kTypes);
    require(alone->op == operand->op && alone->name == operand->name && alone->number == operand->number,
            "an operand's text is the operand");
  }
}

void check_declarations(std::string_view text) {
  syntax::Lexer lexer(text);
  do {
    const syntax::Declaration declaration = syntax::parse_declaration(lexer);
    require(!declaration.name.empty(), "what is declared has a name");
    check_type(declaration.type);
    lexer.expect(";");
  } while (lexer.peek().kind != syntax::TokenKind::end);
}

}  // namespace

bool expression(Input input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const bool is_expression = takes([&] { check_expression(text); });
  const bool is_type = takes([&] { check_type(syntax::parse_type(text)); });
  const bool is_declarations = takes([&] { check_declarations(text); });
  return is_expression || is_type || is_declarations;
}

}  // namespace kvista::fuzz
