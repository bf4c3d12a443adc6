#include "syntax/expression.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

namespace kvista::syntax {
namespace {

constexpr unsigned kMostDepth = 64;
constexpr size_t kMostNodes = 1000;

struct BinaryOperator {
  std::string_view mark;
  Op op;
  unsigned precedence;  // the higher, the tighter
};
constexpr std::array kBinary = {
    BinaryOperator{"||", Op::logical_or, 1},    BinaryOperator{"&&", Op::logical_and, 2},
    BinaryOperator{"|", Op::bit_or, 3},         BinaryOperator{"^", Op::bit_xor, 4},
    BinaryOperator{"&", Op::bit_and, 5},        BinaryOperator{"==", Op::equal, 6},
    BinaryOperator{"!=", Op::unequal, 6},       BinaryOperator{"<", Op::less, 7},
    BinaryOperator{">", Op::greater, 7},        BinaryOperator{"<=", Op::less_equal, 7},
    BinaryOperator{">=", Op::greater_equal, 7}, BinaryOperator{"<<", Op::shift_left, 8},
    BinaryOperator{">>", Op::shift_right, 8},   BinaryOperator{"+", Op::add, 9},
    BinaryOperator{"-", Op::subtract, 9},       BinaryOperator{"*", Op::multiply, 10},
    BinaryOperator{"/", Op::divide, 10},        BinaryOperator{"%", Op::remainder, 10},
};

struct UnaryOperator {
  std::string_view mark;
  Op op;
};
constexpr std::array kUnary = {UnaryOperator{"*", Op::dereference}, UnaryOperator{"&", Op::address_of},
                               UnaryOperator{"-", Op::minus},       UnaryOperator{"+", Op::plus},
                               UnaryOperator{"!", Op::logical_not}, UnaryOperator{"~", Op::complement}};

const BinaryOperator* binary_operator(const Token& token) {
  if (token.kind != TokenKind::mark) return nullptr;
  for (const BinaryOperator& one : kBinary)
    if (one.mark == token.text) return &one;
  return nullptr;
}

using NodePtr = std::unique_ptr<Node>;

class Parser {
 public:
  Parser(std::string_view text, const TypeNames& types) : lexer_(text), types_(types) {}

  NodePtr whole() {
    NodePtr node = conditional();
    if (lexer_.peek().kind != TokenKind::end) lexer_.fail("an operator or the end");
    return node;
  }

 private:
  // Counts what recursion goes through.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kMostDepth) parser_.lexer_.fail("an expression that is not so deep");
    }
    ~Level() { --parser_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  // Within parentheses and brackets a colon is a CPU's again.
  class Enclosed {
   public:
    explicit Enclosed(Parser& parser)
        : parser_(parser), outside_(std::exchange(parser.within_conditional_, 0U)) {}
    ~Enclosed() { parser_.within_conditional_ = outside_; }
    Enclosed(const Enclosed&) = delete;
    Enclosed& operator=(const Enclosed&) = delete;

   private:
    Parser& parser_;
    unsigned outside_;
  };

  NodePtr make(Op op, size_t at) {
    if (++nodes_ > kMostNodes) lexer_.fail("a shorter expression");
    auto node = std::make_unique<Node>();
    node->op = op;
    node->at = at;
    return node;
  }
  NodePtr finish(NodePtr node) {
    node->end = lexer_.last_end();
    return node;
  }
  template <typename... Operands>
  NodePtr make(Op op, size_t at, Operands... operands) {
    NodePtr node = make(op, at);
    (node->operands.push_back(std::move(operands)), ...);
    return finish(std::move(node));
  }

  NodePtr conditional() {
    const Level level(*this);
    NodePtr condition = binary(1);
    if (!lexer_.accept("?")) return condition;
    const size_t at = condition->at;
    ++within_conditional_;
    NodePtr yes = conditional();
    --within_conditional_;
    lexer_.expect(":");
    NodePtr no = conditional();
    return make(Op::conditional, at, std::move(condition), std::move(yes), std::move(no));
  }

  NodePtr binary(unsigned least) {
    NodePtr left = unary();
    while (const BinaryOperator* found = binary_operator(lexer_.peek())) {
      if (found->precedence < least) break;
      lexer_.take();
      const Level level(*this);
      NodePtr right = binary(found->precedence + 1);
      const size_t at = left->at;
      left = make(found->op, at, std::move(left), std::move(right));
    }
    return left;
  }

  NodePtr unary() {
    const Level level(*this);
    const size_t at = lexer_.peek().at;
    for (const UnaryOperator& one : kUnary)
      if (lexer_.accept(one.mark)) return make(one.op, at, unary());
    if (lexer_.accept("sizeof")) return size_of(at);
    if (auto type = type_in_parentheses()) {
      NodePtr operand = unary();
      NodePtr node = make(Op::cast, at, std::move(operand));
      node->type = std::move(*type);
      return node;
    }
    return postfix(primary());
  }

  NodePtr size_of(size_t at) {
    if (auto type = type_in_parentheses()) {
      NodePtr node = finish(make(Op::size_of_type, at));
      node->type = std::move(*type);
      return node;
    }
    return make(Op::size_of, at, unary());
  }

  bool is_type_next() const {
    const Token& token = lexer_.peek();
    return token.kind == TokenKind::name && (is_type_keyword(token.text) || types_(token.text));
  }

  // "(struct task_struct *)"; nothing, and nothing taken, for any other parenthesis.
  std::optional<TypeName> type_in_parentheses() {
    if (lexer_.peek().text != "(") return std::nullopt;
    const auto before = lexer_.mark();
    lexer_.take();
    if (!is_type_next()) {
      lexer_.back_to(before);
      return std::nullopt;
    }
    TypeName type = parse_type_name(lexer_);
    lexer_.expect(")");
    return type;
  }

  NodePtr primary() {
    const Token& next = lexer_.peek();
    const size_t at = next.at;
    if (lexer_.accept("(")) {
      const Enclosed enclosed(*this);
      NodePtr inner = conditional();
      lexer_.expect(")");
      inner->at = at;
      return finish(std::move(inner));
    }
    if (next.kind == TokenKind::number) {
      const Token token = lexer_.take();
      NodePtr node = make(Op::number, at);
      node->number = token.number;
      node->is_unsigned = token.is_unsigned;
      node->is_long = token.is_long;
      return finish(std::move(node));
    }
    if (next.kind != TokenKind::name) lexer_.fail("a value");
    NodePtr node = make(Op::name, at);
    node->name = lexer_.take().text;
    if (lexer_.peek().text == "(") return call(std::move(node));
    return per_cpu(finish(std::move(node)));
  }

  // crash's "runqueues:0", also "runqueues:a" for all. Within "a ? b : c" the colon is the condition's.
  NodePtr per_cpu(NodePtr name) {
    if (within_conditional_ > 0 || !lexer_.accept(":")) return name;
    name->op = Op::per_cpu;
    NodePtr selected = make(Op::name, name->at);
    selected->name = std::move(name->name);
    selected->end = name->end;
    name->name.clear();
    if (lexer_.peek().kind == TokenKind::number)
      name->number = lexer_.take().number;
    else if (lexer_.accept("a") || lexer_.accept("all"))
      name->name = "all";
    else
      lexer_.fail("a CPU's number, or \"a\" for all");
    name->operands.push_back(std::move(selected));
    return finish(std::move(name));
  }

  // container_of(pointer, type, member.path), offsetof(type, member.path), per_cpu(variable, cpu).
  NodePtr call(NodePtr node) {
    const Enclosed enclosed(*this);
    node->op = Op::call;
    const std::string& function = node->name;
    lexer_.expect("(");
    if (function == "container_of") {
      node->operands.push_back(conditional());
      lexer_.expect(",");
      type_and_path(*node);
    } else if (function == "offsetof") {
      type_and_path(*node);
    } else if (function == "per_cpu" || function == "per_cpu_ptr") {
      node->operands.push_back(conditional());
      lexer_.expect(",");
      node->operands.push_back(conditional());
    } else {
      throw SyntaxError(
          lexer_.text(), node->at,
          "a saved kernel cannot be called; there are container_of, offsetof, per_cpu and sizeof");
    }
    lexer_.expect(")");
    return finish(std::move(node));
  }

  void type_and_path(Node& node) {
    node.type = parse_type_name(lexer_);
    lexer_.expect(",");
    do node.path.emplace_back(lexer_.expect_name("a member's name"));
    while (lexer_.accept("."));
  }

  NodePtr postfix(NodePtr node) {
    for (;;) {
      const size_t at = node->at;
      if (lexer_.accept(".") || lexer_.accept("->")) {
        node = make(Op::member, at, std::move(node));
        node->name = lexer_.expect_name("a member's name");
        node->end = lexer_.last_end();
      } else if (lexer_.accept("[")) {
        const Enclosed enclosed(*this);
        NodePtr index = conditional();
        lexer_.expect("]");
        node = make(Op::index, at, std::move(node), std::move(index));
      } else {
        return node;
      }
    }
  }

  Lexer lexer_;
  const TypeNames& types_;
  unsigned depth_ = 0;
  size_t nodes_ = 0;
  unsigned within_conditional_ = 0;
};

}  // namespace

std::unique_ptr<Node> parse_expression(std::string_view text, const TypeNames& types) {
  return Parser(text, types).whole();
}

TypeName parse_type(std::string_view text) {
  Lexer lexer(text);
  TypeName type = parse_type_name(lexer);
  if (lexer.peek().kind != TokenKind::end) lexer.fail("the type's end");
  return type;
}

}  // namespace kvista::syntax
