#include "syntax/declaration.h"

#include <gtest/gtest.h>

#include "syntax/expression.h"
#include "unit/failure.h"

namespace kvista::syntax {
namespace {

std::string text_of(const TypeName& type);

std::string members_of(const TypeName& type) {
  std::string text;
  for (const Declaration& member : type.members) text += text_of(member.type) + " " + member.name + "; ";
  return text;
}

std::string text_of(const Derivation& one) {
  if (one.kind == DerivationKind::pointer) return ", pointer";
  if (one.kind == DerivationKind::function) return ", function";
  return ", array of " + (one.count_name.empty() ? std::to_string(one.count) : one.count_name);
}

// From the named type outwards: "struct rq, pointer, array of 4".
std::string text_of(const TypeName& type) {
  std::string text;
  if (type.tag == Tag::structure) text = "struct ";
  if (type.tag == Tag::union_type) text = "union ";
  if (type.tag == Tag::enumeration) text = "enum ";
  text += type.members.empty() ? type.name : "{ " + members_of(type) + "}";
  for (const Derivation& one : type.derivations) text += text_of(one);
  return text;
}

std::string type(std::string_view text) {
  return text_of(parse_type(text));
}

// "name: type".
std::string declared(std::string_view text) {
  Lexer lexer(text);
  const Declaration declaration = parse_declaration(lexer);
  EXPECT_EQ(lexer.peek().kind, TokenKind::end) << text;
  return declaration.name + ": " + text_of(declaration.type);
}

std::string type_failure(std::string_view text) {
  return test::failure_of<SyntaxError>([&] { parse_type(text); });
}
std::string failure(std::string_view text) {
  return test::failure_of<SyntaxError>([&] {
    Lexer lexer(text);
    parse_declaration(lexer);
  });
}

std::string repeated(std::string_view text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(TypeName, IntegersHaveOneForm) {
  EXPECT_EQ(type("int"), "int");
  EXPECT_EQ(type("signed"), "int");
  EXPECT_EQ(type("signed int"), "int");
  EXPECT_EQ(type("unsigned"), "unsigned int");
  EXPECT_EQ(type("int unsigned"), "unsigned int");
  EXPECT_EQ(type("unsigned long"), "unsigned long");
  EXPECT_EQ(type("long unsigned int"), "unsigned long");
  EXPECT_EQ(type("long int"), "long");
  EXPECT_EQ(type("signed long"), "long");
  EXPECT_EQ(type("long long"), "long long");
  EXPECT_EQ(type("long unsigned int long"), "unsigned long long");
  EXPECT_EQ(type("short int"), "short");
  EXPECT_EQ(type("int short unsigned"), "unsigned short");
  EXPECT_EQ(type("char"), "char");
  EXPECT_EQ(type("signed char"), "signed char");
  EXPECT_EQ(type("char unsigned"), "unsigned char");
  EXPECT_EQ(type("_Bool"), "bool");
  EXPECT_EQ(type("bool"), "bool");
  EXPECT_EQ(type("float"), "float");
  EXPECT_EQ(type("double"), "double");
  EXPECT_EQ(type("void"), "void");
}

TEST(TypeName, QualifiersArePassedOver) {
  EXPECT_EQ(type("const volatile unsigned const long"), "unsigned long");
  EXPECT_EQ(type("struct rq const *const *volatile"), "struct rq, pointer, pointer");
  EXPECT_EQ(type("u32 const"), "u32");
}

TEST(TypeName, QualifiersBelongToTheTypeBeforeThem) {
  EXPECT_EQ(parse_type("const u32").qualifiers, kConst);
  EXPECT_EQ(parse_type("u32 const volatile").qualifiers, kConst | kVolatile);
  EXPECT_EQ(parse_type("unsigned const int").qualifiers, kConst);
  EXPECT_EQ(parse_type("struct rq").qualifiers, 0);
  const TypeName type = parse_type("const char *const restrict *");
  EXPECT_EQ(type.qualifiers, kConst);
  ASSERT_EQ(type.derivations.size(), 2U);
  EXPECT_EQ(type.derivations[0].qualifiers, kConst | kRestrict);
  EXPECT_EQ(type.derivations[1].qualifiers, 0);
}

TEST(TypeName, TagsStayApart) {
  EXPECT_EQ(type("struct list_head *"), "struct list_head, pointer");
  EXPECT_EQ(type("union thread_union"), "union thread_union");
  EXPECT_EQ(type("enum zone_type"), "enum zone_type");
  EXPECT_EQ(type("list_head"), "list_head");
  EXPECT_EQ(parse_type("list_head").tag, Tag::none);
}

TEST(TypeName, DerivationsGoFromTheNamedTypeOutwards) {
  EXPECT_EQ(type("char **"), "char, pointer, pointer");
  EXPECT_EQ(type("char [16]"), "char, array of 16");
  EXPECT_EQ(type("char *[0x10]"), "char, pointer, array of 16");
  EXPECT_EQ(type("char (*)[16]"), "char, array of 16, pointer");
  EXPECT_EQ(type("int [2][3]"), "int, array of 3, array of 2");
  EXPECT_EQ(type("int (*)(void)"), "int, function, pointer");
  EXPECT_EQ(type("void (*)(struct rq *, int (*)(int), long)"), "void, function, pointer");
  EXPECT_EQ(type("char *(*(*)[3])(void)"), "char, pointer, function, pointer, array of 3, pointer");
  EXPECT_EQ(type("char []"), "char, array of 0");
  EXPECT_EQ(type("char [NR_CPUS]"), "char, array of NR_CPUS");
}

TEST(Declaration, HasANameInItsMidst) {
  EXPECT_EQ(declared("struct list_head modules"), "modules: struct list_head");
  EXPECT_EQ(declared("unsigned long avenrun[3]"), "avenrun: unsigned long, array of 3");
  EXPECT_EQ(declared("const char *const names[]"), "names: char, pointer, array of 0");
  EXPECT_EQ(declared("int matrix[2][N]"), "matrix: int, array of N, array of 2");
  EXPECT_EQ(declared("int (*done)(struct rq *)"), "done: int, function, pointer");
  EXPECT_EQ(declared("int (*done[4])(void)"), "done: int, function, pointer, array of 4");
  EXPECT_EQ(declared("int *find(void)"), "find: int, pointer, function");
  EXPECT_EQ(declared("long ((x))"), "x: long");
}

TEST(Declaration, StructsMayBeDefinedOnTheSpot) {
  EXPECT_EQ(declared("struct { u32 seq; struct timekeeper *keeper[2]; } tk_core"),
            "tk_core: struct { u32 seq; struct timekeeper, pointer, array of 2 keeper; }");
  EXPECT_EQ(declared("union { struct { int a; } in; char b[4]; } *both"),
            "both: union { struct { int a; } in; char, array of 4 b; }, pointer");
  EXPECT_EQ(type("struct { int a; } *"), "struct { int a; }, pointer");
  EXPECT_TRUE(parse_type("struct { int a; }").name.empty());
}

TEST(Declaration, EndsBeforeWhatIsNotItsOwn) {
  Lexer lexer("unsigned long jiffies; u64 next");
  EXPECT_EQ(parse_declaration(lexer).name, "jiffies");
  EXPECT_TRUE(lexer.accept(";"));
  EXPECT_EQ(parse_declaration(lexer).name, "next");
}

TEST(Declaration, ErrorsShowThePlace) {
  EXPECT_EQ(failure(""), ": expected a type, found the end");
  EXPECT_EQ(failure("const"), "const: expected a type, found the end");
  EXPECT_EQ(failure("*a"), " >>*a: expected a type, found \"*\"");
  EXPECT_EQ(failure("5 a"), " >>5 a: expected a type, found \"5\"");
  EXPECT_EQ(failure("unsigned long"), "unsigned long: expected a name, found the end");
  EXPECT_EQ(failure("struct *a"), "struct  >>*a: expected the type's name, found \"*\"");
  EXPECT_EQ(failure("enum { A } x"), "enum  >>{ A } x: expected the type's name, found \"{\"");
  EXPECT_EQ(failure("int (*a"), "int (*a: expected \")\", found the end");
  EXPECT_EQ(failure("int a(int"), "int a(int: expected \")\", found the end");
  EXPECT_EQ(failure("int a[1+1]"), "int a[1 >>+1]: expected \"]\", found \"+\"");
  EXPECT_EQ(failure("struct { int a } x"), "struct { int a  >>} x: expected \";\", found \"}\"");
  EXPECT_EQ(failure("struct { int; } x"), "struct { int >>; } x: expected a name, found \";\"");
  EXPECT_EQ(failure("struct { int a;"), "struct { int a;: expected a type, found the end");
  EXPECT_EQ(type_failure("int a"), "int  >>a: expected the type's end, found \"a\"");
  EXPECT_EQ(type_failure("int (*a)[2]"), "int (* >>a)[2]: expected \")\", found \"a\"");
}

TEST(Declaration, WhatIsAbsurdIsRefusedAndNothingWorse) {
  EXPECT_EQ(type("int" + repeated("*", 64)), "int" + repeated(", pointer", 64));
  EXPECT_EQ(type("int" + repeated("[2]", 64)), "int" + repeated(", array of 2", 64));
  for (const size_t count : {size_t{65}, size_t{1'000'000}}) {
    EXPECT_NE(type_failure("int" + repeated("*", count)).find("a simpler type"), std::string::npos) << count;
    EXPECT_NE(type_failure("int" + repeated("[2]", count)).find("a simpler type"), std::string::npos)
        << count;
    EXPECT_NE(failure("int " + repeated("(", count)).find("not so deep"), std::string::npos) << count;
    EXPECT_NE(failure(repeated("struct {", count)).find("not so deep"), std::string::npos) << count;
  }
  EXPECT_EQ(declared("int " + repeated("(", 20) + "x" + repeated(")", 20)), "x: int");
  EXPECT_EQ(failure("int x(" + repeated("(", 1'000'000)).substr(0, 4), "((((") << "parameters are not read";
  EXPECT_EQ(declared("struct { " + repeated("int a; ", 256) + "} x").substr(0, 12), "x: struct { ");
  EXPECT_NE(failure("struct { " + repeated("int a; ", 257) + "} x").find("fewer members"), std::string::npos);
}

// What is beside one another is not deep.
TEST(Declaration, DepthIsThatOfNestingOnly) {
  EXPECT_EQ(declared("struct { " + repeated("struct { int (a); } b; ", 200) + "} x").substr(0, 12),
            "x: struct { ");
}

TEST(TypeKeyword, BeginsATypeByItself) {
  for (const char* word : {"struct", "union", "enum", "const", "volatile", "restrict", "unsigned", "signed",
                           "char", "short", "int", "long", "void", "_Bool", "bool", "float", "double"})
    EXPECT_TRUE(is_type_keyword(word)) << word;
  for (const char* word : {"u32", "sizeof", "structs", "", "in"}) EXPECT_FALSE(is_type_keyword(word)) << word;
}

}  // namespace
}  // namespace kvista::syntax
