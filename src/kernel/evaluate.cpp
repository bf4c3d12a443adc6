#include "kernel/evaluate.h"

#include <fmt/format.h>

#include "base/error.h"
#include "kernel/session.h"
#include "kernel/walk.h"
#include "syntax/expression.h"

namespace kvista::kernel {
namespace {

using syntax::Node;
using syntax::Op;
using type::Kind;
using type::Type;

// A number as C calculates with it: int, long, or one of these without a sign.
struct Number {
  uint64_t value = 0;
  bool is_unsigned = false;
  bool is_long = false;

  int64_t as_signed() const { return static_cast<int64_t>(value); }
};

uint64_t fit(uint64_t value, bool is_unsigned, bool is_long) {
  if (is_long) return value;
  return is_unsigned ? value & UINT32_MAX : static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)});
}

class Evaluator {
 public:
  Evaluator(const Session& session, std::string_view text, const NamesInUse& names)
      : session_(session), text_(text), names_(names) {}

  Value value(const Node& node) {
    switch (node.op) {
      case Op::number:
        return of({node.number, node.is_unsigned, node.is_long});
      case Op::name:
        return name(node);
      case Op::per_cpu:
        return per_cpu(node);
      case Op::member:
        return value(*node.operands[0])[node.name];
      case Op::index:
        return index(node);
      case Op::call:
        return call(node);
      case Op::dereference:
        return *value(*node.operands[0]);
      case Op::address_of:
        return value(*node.operands[0]).pointer();
      case Op::cast:
        return value(*node.operands[0]).cast(session_.types().resolve(node.type));
      case Op::size_of:
        return size(value(*node.operands[0]).type().size());
      case Op::size_of_type:
        return size(session_.types().resolve(node.type).size());
      case Op::conditional:
        return value(*node.operands[truth(*node.operands[0]) ? 1 : 2]);
      case Op::logical_and:
        return truth_value(truth(*node.operands[0]) && truth(*node.operands[1]));
      case Op::logical_or:
        return truth_value(truth(*node.operands[0]) || truth(*node.operands[1]));
      case Op::logical_not:
        return truth_value(!truth(*node.operands[0]));
      case Op::plus:
      case Op::minus:
      case Op::complement:
        return unary(node);
      default:
        return binary(node);
    }
  }

 private:
  [[noreturn]] void fail(const Node& node, const std::string& why) const {
    throw UsageError(fmt::format("{}: {}", text_.substr(node.at, node.end - node.at), why));
  }

  Value name(const Node& node) const {
    const auto own = names_ ? names_(node.name) : std::nullopt;
    return own ? *own : session_.global(node.name);
  }
  Value of(const Number& number) const {
    const char* name = number.is_long ? (number.is_unsigned ? "unsigned long" : "long")
                                      : (number.is_unsigned ? "unsigned int" : "int");
    return session_.number(session_.types().basic(name),
                           fit(number.value, number.is_unsigned, number.is_long));
  }
  Value size(uint64_t bytes) const { return of({bytes, true, true}); }
  Value truth_value(bool is_true) const { return of({is_true ? 1U : 0U, false, false}); }
  bool truth(const Node& node) { return value(node).number() != 0; }

  // As C promotes it: what is smaller than int becomes int.
  Number number(const Value& from) const {
    const Type own = from.type().resolved();
    const bool is_word =
        own.kind() == Kind::pointer || own.kind() == Kind::array || own.kind() == Kind::function;
    const uint64_t bytes = is_word ? session_.word_size() : own.size();
    return {from.number(), is_word || (bytes >= 4 && !own.is_signed()), bytes > 4};
  }
  Number number(const Node& node) { return number(value(node)); }

  Value unary(const Node& node) {
    Number operand = number(*node.operands[0]);
    if (node.op == Op::minus) operand.value = 0 - operand.value;
    if (node.op == Op::complement) operand.value = ~operand.value;
    return of(operand);
  }

  Value per_cpu(const Node& node) {
    if (!node.name.empty()) fail(node, "a single value is needed here: say which CPU's");
    return on_cpu(node, value(*node.operands[0]), node.number);
  }
  Value on_cpu(const Node& node, const Value& variable, uint64_t cpu) const {
    if (cpu > UINT32_MAX) fail(node, "there is no such CPU");
    return variable.per_cpu(static_cast<unsigned>(cpu));
  }

  Value index(const Node& node) {
    return value(*node.operands[0])[static_cast<int64_t>(value(*node.operands[1]).number())];
  }

  Value call(const Node& node) {
    if (node.name == "container_of") {
      const Type type = session_.types().resolve(node.type);
      return session_.object(type, VirtAddr{value(*node.operands[0]).number() - offset(type, node)});
    }
    if (node.name == "offsetof") return size(offset(session_.types().resolve(node.type), node));
    return on_cpu(node, value(*node.operands[0]), value(*node.operands[1]).number());
  }

  static uint64_t offset(const Type& type, const Node& node) {
    return member_offset(type, fmt::format("{}", fmt::join(node.path, ".")));
  }

  // What a pointer or array has elements of; void counts as a byte, as GCC has it.
  static std::optional<uint64_t> stride(const Value& from) {
    const Type own = from.type().resolved();
    if (own.kind() != Kind::pointer && own.kind() != Kind::array) return std::nullopt;
    return std::max<uint64_t>(own.target().size(), 1);
  }

  Value binary(const Node& node) {
    const Value left = value(*node.operands[0]);
    const Value right = value(*node.operands[1]);
    const auto left_stride = stride(left);
    const auto right_stride = stride(right);
    if (node.op == Op::add && left_stride) return moved(left, *left_stride, right.number());
    if (node.op == Op::add && right_stride) return moved(right, *right_stride, left.number());
    if (node.op == Op::subtract && left_stride && right_stride)
      return of({static_cast<uint64_t>(static_cast<int64_t>(left.number() - right.number()) /
                                       static_cast<int64_t>(*left_stride)),
                 false, true});
    if (node.op == Op::subtract && left_stride) return moved(left, *left_stride, 0 - right.number());
    return calculate(node, number(left), number(right));
  }

  Value moved(const Value& pointer, uint64_t stride, uint64_t by) const {
    const Type own = pointer.type().resolved();
    const Type type =
        own.kind() == Kind::array ? session_.types().derived().pointer_to(own.target()) : pointer.type();
    return session_.number(type, pointer.number() + by * stride);
  }

  Value calculate(const Node& node, Number left, Number right) const {
    if (node.op == Op::shift_left || node.op == Op::shift_right) return shift(node, left, right);
    // The larger type holds both; without a sign where one of that size has none.
    Number result;
    result.is_long = left.is_long || right.is_long;
    result.is_unsigned = (left.is_unsigned && left.is_long == result.is_long) ||
                         (right.is_unsigned && right.is_long == result.is_long);
    left.value = fit(left.value, result.is_unsigned, result.is_long);
    right.value = fit(right.value, result.is_unsigned, result.is_long);
    const bool is_less = result.is_unsigned ? left.value < right.value : left.as_signed() < right.as_signed();
    switch (node.op) {
      case Op::less:
        return truth_value(is_less);
      case Op::greater_equal:
        return truth_value(!is_less);
      case Op::equal:
        return truth_value(left.value == right.value);
      case Op::unequal:
        return truth_value(left.value != right.value);
      case Op::less_equal:
        return truth_value(is_less || left.value == right.value);
      case Op::greater:
        return truth_value(!is_less && left.value != right.value);
      case Op::multiply:
        result.value = left.value * right.value;
        break;
      case Op::add:
        result.value = left.value + right.value;
        break;
      case Op::subtract:
        result.value = left.value - right.value;
        break;
      case Op::bit_and:
        result.value = left.value & right.value;
        break;
      case Op::bit_xor:
        result.value = left.value ^ right.value;
        break;
      case Op::bit_or:
        result.value = left.value | right.value;
        break;
      default:
        result.value = quotient(node, left, right, result.is_unsigned);
        break;
    }
    return of(result);
  }

  uint64_t quotient(const Node& node, const Number& left, const Number& right, bool is_unsigned) const {
    if (right.value == 0) fail(node, "division by zero");
    const bool is_remainder = node.op == Op::remainder;
    if (is_unsigned) return is_remainder ? left.value % right.value : left.value / right.value;
    if (right.as_signed() == -1) return is_remainder ? 0 : 0 - left.value;  // INT64_MIN / -1 does not fit
    return static_cast<uint64_t>(is_remainder ? left.as_signed() % right.as_signed()
                                              : left.as_signed() / right.as_signed());
  }

  Value shift(const Node& node, Number left, const Number& right) const {
    if (right.value >= (left.is_long ? 64U : 32U)) fail(node, "shifted by more bits than there are");
    if (node.op == Op::shift_left)
      left.value <<= right.value;
    else
      left.value = left.is_unsigned ? left.value >> right.value
                                    : static_cast<uint64_t>(left.as_signed() >> right.value);
    return of(left);
  }

  const Session& session_;
  std::string_view text_;
  const NamesInUse& names_;
};

}  // namespace

Value evaluate(const Session& session, std::string_view expression) {
  return evaluate(session, expression, {});
}

Value evaluate(const Session& session, std::string_view expression, const NamesInUse& names) {
  const auto tree = syntax::parse_expression(expression, session.types().for_parser());
  return Evaluator(session, expression, names).value(*tree);
}

}  // namespace kvista::kernel
