#include "syntax/expression.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "unit/failure.h"

namespace kvista::syntax {
namespace {

bool is_known_type(std::string_view name, const void*) {
  return name == "u32" || name == "atomic_t";
}
constexpr TypeNames kTypes{is_known_type, nullptr};

const char* mark_of(Op op) {
  switch (op) {
    case Op::plus:
    case Op::add:
      return "+";
    case Op::minus:
    case Op::subtract:
      return "-";
    case Op::logical_not:
      return "!";
    case Op::complement:
      return "~";
    case Op::dereference:
    case Op::multiply:
      return "*";
    case Op::address_of:
    case Op::bit_and:
      return "&";
    case Op::size_of:
      return "sizeof ";
    case Op::divide:
      return "/";
    case Op::remainder:
      return "%";
    case Op::shift_left:
      return "<<";
    case Op::shift_right:
      return ">>";
    case Op::less:
      return "<";
    case Op::greater:
      return ">";
    case Op::less_equal:
      return "<=";
    case Op::greater_equal:
      return ">=";
    case Op::equal:
      return "==";
    case Op::unequal:
      return "!=";
    case Op::bit_xor:
      return "^";
    case Op::bit_or:
      return "|";
    case Op::logical_and:
      return "&&";
    case Op::logical_or:
      return "||";
    default:
      return "no mark";
  }
}

std::string text_of(const TypeName& type) {
  std::string text = type.tag == Tag::structure ? "struct " + type.name : type.name;
  for (const Derivation& one : type.derivations) text += one.kind == DerivationKind::pointer ? "*" : "[]";
  return text;
}

std::string text_of(const Node& node) {
  const auto operand = [&](size_t index) { return text_of(*node.operands.at(index)); };
  switch (node.op) {
    case Op::number:
      return std::to_string(node.number);
    case Op::name:
      return node.name;
    case Op::per_cpu:
      return operand(0) + ":" + (node.name.empty() ? std::to_string(node.number) : node.name);
    case Op::member:
      return "(" + operand(0) + "." + node.name + ")";
    case Op::index:
      return "(" + operand(0) + "[" + operand(1) + "])";
    case Op::cast:
      return "((" + text_of(node.type) + ")" + operand(0) + ")";
    case Op::size_of_type:
      return "sizeof(" + text_of(node.type) + ")";
    case Op::conditional:
      return "(" + operand(0) + "?" + operand(1) + ":" + operand(2) + ")";
    case Op::call: {
      std::string text = node.name + "(";
      for (const auto& one : node.operands) text += text_of(*one) + ", ";
      text += text_of(node.type);
      for (const std::string& member : node.path) text += "." + member;
      return text + ")";
    }
    default:
      if (node.operands.size() == 1) return std::string("(") + mark_of(node.op) + operand(0) + ")";
      return "(" + operand(0) + mark_of(node.op) + operand(1) + ")";
  }
}

// The expression with parentheses around all that has operands.
std::string tree(std::string_view text) {
  return text_of(*parse_expression(text, kTypes));
}

std::string failure(std::string_view text) {
  return test::failure_of<SyntaxError>([&] { parse_expression(text, kTypes); });
}

std::string repeated(std::string_view text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(Expression, BinaryOperatorsBindAsInC) {
  // From the loosest to the tightest; those of one row bind alike.
  const std::vector<std::vector<std::string>> rows = {
      {"||"},       {"&&"},     {"|"},          {"^"}, {"&"}, {"==", "!="}, {"<", ">", "<=", ">="},
      {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"}};
  for (size_t low = 0; low < rows.size(); ++low) {
    for (size_t high = low; high < rows.size(); ++high) {
      for (const std::string& loose : rows[low]) {
        for (const std::string& tight : rows[high]) {
          const std::string left = "((a" + tight + "b)" + loose + "c)";
          EXPECT_EQ(tree("a" + tight + " b" + loose + " c"), left);
          const std::string right =
              low == high ? "((a" + loose + "b)" + tight + "c)" : "(a" + loose + "(b" + tight + "c))";
          EXPECT_EQ(tree("a" + loose + " b" + tight + " c"), right);
        }
      }
    }
  }
}

TEST(Expression, OperatorsAreWhatTheirMarksSay) {
  const auto op = [](std::string_view text) { return parse_expression(text, kTypes)->op; };
  const std::vector<std::pair<const char*, Op>> all = {
      {"a+b", Op::add},          {"a-b", Op::subtract},       {"a*b", Op::multiply},
      {"a/b", Op::divide},       {"a%b", Op::remainder},      {"a<<b", Op::shift_left},
      {"a>>b", Op::shift_right}, {"a<b", Op::less},           {"a>b", Op::greater},
      {"a<=b", Op::less_equal},  {"a>=b", Op::greater_equal}, {"a==b", Op::equal},
      {"a!=b", Op::unequal},     {"a&b", Op::bit_and},        {"a^b", Op::bit_xor},
      {"a|b", Op::bit_or},       {"a&&b", Op::logical_and},   {"a||b", Op::logical_or},
      {"+a", Op::plus},          {"-a", Op::minus},           {"!a", Op::logical_not},
      {"~a", Op::complement},    {"*a", Op::dereference},     {"&a", Op::address_of}};
  for (const auto& [text, expected] : all) EXPECT_EQ(op(text), expected) << text;
}

TEST(Expression, UnaryOperatorsBindTighterThanBinaryAndLooserThanPostfix) {
  EXPECT_EQ(tree("-a+b"), "((-a)+b)");
  EXPECT_EQ(tree("a- -b"), "(a-(-b))");
  EXPECT_EQ(tree("!a==b"), "((!a)==b)");
  EXPECT_EQ(tree("~-+!a"), "(~(-(+(!a))))");
  EXPECT_EQ(tree("*a.b"), "(*(a.b))");
  EXPECT_EQ(tree("&a->b[1]"), "(&((a.b)[1]))");
  EXPECT_EQ(tree("(*a).b"), "((*a).b)");
  EXPECT_EQ(tree("a * *b"), "(a*(*b))");
  EXPECT_EQ(tree("a&&b"), "(a&&b)");
  EXPECT_EQ(tree("a & &b"), "(a&(&b))");
}

TEST(Expression, PostfixGoesFromLeftToRight) {
  EXPECT_EQ(tree("a.b->c[1][d+2].e"), "(((((a.b).c)[1])[(d+2)]).e)");
  EXPECT_EQ(tree("a[b[c]]"), "(a[(b[c])])");
}

TEST(Expression, TheConditionBindsLoosestAndFromRightToLeft) {
  EXPECT_EQ(tree("a || b ? c : d"), "((a||b)?c:d)");
  EXPECT_EQ(tree("a ? b : c ? d : e"), "(a?b:(c?d:e))");
  EXPECT_EQ(tree("a ? b ? c : d : e"), "(a?(b?c:d):e)");
  EXPECT_EQ(tree("a ? b + 1 : c || d"), "(a?(b+1):(c||d))");
}

TEST(Expression, ParenthesesChangeTheOrder) {
  EXPECT_EQ(tree("(a+b)*c"), "((a+b)*c)");
  EXPECT_EQ(tree("a-(b-c)"), "(a-(b-c))");
  EXPECT_EQ(tree("((a))"), "a");
}

TEST(Expression, ATypeInParenthesesIsACast) {
  EXPECT_EQ(tree("(u32)a"), "((u32)a)");
  EXPECT_EQ(tree("(u32)-1"), "((u32)(-1))");
  EXPECT_EQ(tree("(u32)a.b"), "((u32)(a.b))");
  EXPECT_EQ(tree("(u32)a+b"), "(((u32)a)+b)");
  EXPECT_EQ(tree("(u32)(a)"), "((u32)a)");
  EXPECT_EQ(tree("(unsigned long)(struct rq *)a"), "((unsigned long)((struct rq*)a))");
  EXPECT_EQ(tree("((struct rq *)a)->b"), "(((struct rq*)a).b)");
  EXPECT_EQ(tree("(const char *)a"), "((char*)a)");
  EXPECT_EQ(tree("*(atomic_t *)&a"), "(*((atomic_t*)(&a)))");
}

TEST(Expression, AnyOtherNameInParenthesesIsAValue) {
  EXPECT_EQ(tree("(a)-1"), "(a-1)");
  EXPECT_EQ(tree("(a)*b"), "(a*b)");
  EXPECT_EQ(tree("(a)&b"), "(a&b)");
  EXPECT_EQ(tree("u32"), "u32") << "a variable may be called as a type is";
  EXPECT_EQ(failure("(a)b"), "(a) >>b: expected an operator or the end, found \"b\"");
  EXPECT_EQ(text_of(*parse_expression("(u32)-1", TypeNames{})), "(u32-1)") << "no types are known";
}

TEST(Expression, SizeofTakesTypesAndValues) {
  EXPECT_EQ(tree("sizeof(u32)*2"), "(sizeof(u32)*2)");
  EXPECT_EQ(tree("sizeof(struct rq *)"), "sizeof(struct rq*)");
  EXPECT_EQ(tree("sizeof (a)+1"), "((sizeof a)+1)");
  EXPECT_EQ(tree("sizeof a.b"), "(sizeof (a.b))");
  EXPECT_EQ(tree("sizeof (a).b"), "(sizeof (a.b))");
  EXPECT_EQ(tree("sizeof *a"), "(sizeof (*a))");
  EXPECT_EQ(tree("sizeof sizeof a"), "(sizeof (sizeof a))");
}

TEST(Expression, TheFewFunctions) {
  EXPECT_EQ(tree("container_of(a.next, struct task_struct, tasks.x)"),
            "container_of((a.next), struct task_struct.tasks.x)");
  EXPECT_EQ(tree("offsetof(struct page, lru)"), "offsetof(struct page.lru)");
  EXPECT_EQ(tree("offsetof(u32, a) + 1"), "(offsetof(u32.a)+1)");
  EXPECT_EQ(tree("per_cpu(runqueues, 1).nr"), "(per_cpu(runqueues, 1, ).nr)");
  EXPECT_EQ(tree("per_cpu_ptr(a->p, i + 1)"), "per_cpu_ptr((a.p), (i+1), )");
  EXPECT_EQ(tree("container_of + 1"), "(container_of+1)") << "without parentheses a name like others";
  EXPECT_EQ(
      failure("1 + printk(a)"),
      "1 +  >>printk(a): a saved kernel cannot be called; there are container_of, offsetof, per_cpu and "
      "sizeof");
  EXPECT_EQ(failure("offsetof(u32)"), "offsetof(u32 >>): expected \",\", found \")\"");
  EXPECT_EQ(failure("offsetof(u32, 1)"), "offsetof(u32,  >>1): expected a member's name, found \"1\"");
  EXPECT_EQ(failure("per_cpu(a)"), "per_cpu(a >>): expected \",\", found \")\"");
  EXPECT_EQ(failure("container_of(a, u32, b"), "container_of(a, u32, b: expected \")\", found the end");
}

TEST(Expression, AColonSelectsACpu) {
  EXPECT_EQ(tree("runqueues:0"), "runqueues:0");
  EXPECT_EQ(tree("runqueues:0x10.nr"), "(runqueues:16.nr)");
  EXPECT_EQ(tree("runqueues:a"), "runqueues:all");
  EXPECT_EQ(tree("runqueues:all.nr + 1"), "((runqueues:all.nr)+1)");
  EXPECT_EQ(tree("&a:1"), "(&a:1)");
  EXPECT_EQ(tree("a:1 + b:2"), "(a:1+b:2)");
  EXPECT_EQ(failure("a:b"), "a: >>b: expected a CPU's number, or \"a\" for all, found \"b\"");
  EXPECT_EQ(failure("a:"), "a:: expected a CPU's number, or \"a\" for all, found the end");
  EXPECT_EQ(failure("a.b:0"), "a.b >>:0: expected an operator or the end, found \":\"");
  EXPECT_EQ(failure("a:0:1"), "a:0 >>:1: expected an operator or the end, found \":\"");
}

TEST(Expression, TheColonOfAConditionIsNoCpus) {
  EXPECT_EQ(tree("a ? b : 0"), "(a?b:0)");
  EXPECT_EQ(tree("a ? b : c:0"), "(a?b:c:0)");
  EXPECT_EQ(tree("a:1 ? b : c"), "(a:1?b:c)");
  EXPECT_EQ(tree("a ? b ? c : 1 : 2"), "(a?(b?c:1):2)");
  EXPECT_EQ(tree("a ? (b:0) : c"), "(a?b:0:c)");
  EXPECT_EQ(tree("a ? b[c:0] : d"), "(a?(b[c:0]):d)");
  EXPECT_EQ(tree("a ? (b) : 1"), "(a?b:1)");
  EXPECT_EQ(tree("a ? sizeof(b:0) : 1"), "(a?(sizeof b:0):1)");
  EXPECT_EQ(tree("a ? container_of(b:0, u32, x) : 1"), "(a?container_of(b:0, u32.x):1)");
  EXPECT_EQ(tree("(a ? b : 1) + c:0"), "((a?b:1)+c:0)");
}

TEST(Expression, NumbersKeepTheirType) {
  const auto node = parse_expression("0xffffffff", kTypes);
  EXPECT_EQ(node->number, 0xffffffffU);
  EXPECT_TRUE(node->is_unsigned);
  EXPECT_FALSE(node->is_long);
  EXPECT_TRUE(parse_expression("1L", kTypes)->is_long);
  EXPECT_EQ(tree("'a'"), "97");
}

TEST(Expression, NodesKnowWhereTheyAreInTheText) {
  const std::string_view text = " (a + b:1) * sizeof(u32) - (u32)(c[1].d) // end";
  const auto node = parse_expression(text, kTypes);
  const auto own = [&](const Node& one) { return text.substr(one.at, one.end - one.at); };
  EXPECT_EQ(own(*node), "(a + b:1) * sizeof(u32) - (u32)(c[1].d)");
  const Node& product = *node->operands.at(0);
  EXPECT_EQ(own(product), "(a + b:1) * sizeof(u32)");
  EXPECT_EQ(own(*product.operands.at(0)), "(a + b:1)");
  EXPECT_EQ(own(*product.operands.at(0)->operands.at(1)), "b:1");
  EXPECT_EQ(own(*product.operands.at(0)->operands.at(1)->operands.at(0)), "b");
  EXPECT_EQ(own(*product.operands.at(1)), "sizeof(u32)");
  const Node& cast = *node->operands.at(1);
  EXPECT_EQ(own(cast), "(u32)(c[1].d)");
  EXPECT_EQ(own(*cast.operands.at(0)), "(c[1].d)");
  EXPECT_EQ(own(*cast.operands.at(0)->operands.at(0)), "c[1]");
}

TEST(Expression, ErrorsShowThePlace) {
  EXPECT_EQ(failure(""), ": expected a value, found the end");
  EXPECT_EQ(failure("a +"), "a +: expected a value, found the end");
  EXPECT_EQ(failure("a + ]"), "a +  >>]: expected a value, found \"]\"");
  EXPECT_EQ(failure("(a"), "(a: expected \")\", found the end");
  EXPECT_EQ(failure("a[1"), "a[1: expected \"]\", found the end");
  EXPECT_EQ(failure("a = 1"), "a  >>= 1: expected an operator or the end, found \"=\"");
  EXPECT_EQ(failure("a, b"), "a >>, b: expected an operator or the end, found \",\"");
  EXPECT_EQ(failure("a ? b"), "a ? b: expected \":\", found the end");
  EXPECT_EQ(failure("a.1"), "a. >>1: expected a member's name, found \"1\"");
  EXPECT_EQ(failure("(u32 a)"), "(u32  >>a): expected \")\", found \"a\"");
  EXPECT_EQ(failure("(u32)"), "(u32): expected a value, found the end");
  EXPECT_EQ(failure("a b"), "a  >>b: expected an operator or the end, found \"b\"");
  EXPECT_EQ(failure("a # b"), "a  >># b: this is no word of C");
}

TEST(Expression, WhatIsTooDeepIsRefusedAndNothingWorse) {
  constexpr std::array kDeep = {"(",  "-",  "!",    "*",   "sizeof ",       "sizeof(",     "(u32)",
                                "a[", "a?", "1?1:", "a+(", "container_of(", "per_cpu(a, ", "(struct rq *)("};
  for (const std::string_view part : kDeep) {
    for (const size_t count : {size_t{70}, size_t{300'000}})
      EXPECT_NE(failure(repeated(part, count) + "a").find("not so deep"), std::string::npos)
          << part << " " << count << ": " << failure(repeated(part, count) + "a");
  }
  EXPECT_EQ(tree(repeated("(", 30) + "a" + repeated(")", 30)), "a");
  EXPECT_EQ(tree(repeated("-", 60) + "a"), repeated("(-", 60) + "a" + repeated(")", 60));
}

TEST(Expression, WhatIsBesideOneAnotherIsNotDeep) {
  EXPECT_NO_THROW(parse_expression("0" + repeated("+(a[1])", 150), kTypes));
  EXPECT_NO_THROW(parse_expression("0" + repeated(" || a && b == -c", 100), kTypes));
}

TEST(Expression, WhatIsTooLongIsRefusedAndNothingWorse) {
  EXPECT_NO_THROW(parse_expression("1" + repeated("+1", 499), kTypes)) << "1000 nodes less one";
  EXPECT_NO_THROW(parse_expression("a" + repeated(".b", 999), kTypes));
  for (const size_t count : {size_t{1000}, size_t{300'000}}) {
    EXPECT_NE(failure("1" + repeated("+1", count)).find("a shorter expression"), std::string::npos) << count;
    EXPECT_NE(failure("a" + repeated(".b", count)).find("a shorter expression"), std::string::npos) << count;
    EXPECT_NE(failure("a" + repeated("[1]", count)).find("a shorter expression"), std::string::npos) << count;
  }
}

TEST(Expression, NamesNeedNotOutliveTheText) {
  auto text = std::make_unique<std::string>("container_of(some_variable, struct some_struct, some_member)");
  const auto node = parse_expression(*text, kTypes);
  std::fill(text->begin(), text->end(), '#');
  text.reset();
  EXPECT_EQ(text_of(*node), "container_of(some_variable, struct some_struct.some_member)");
}

}  // namespace
}  // namespace kvista::syntax
