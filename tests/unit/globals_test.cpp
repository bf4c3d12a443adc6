#include "kernel/globals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "syntax/lexer.h"

namespace kvista::kernel {
namespace {

// What the file has at least: less means that a part of it got lost.
constexpr size_t kLeastDeclarations = 420;

GlobalDeclaration one(std::string_view text) {
  const std::vector<GlobalDeclaration> all = parse_declarations(text);
  EXPECT_EQ(all.size(), 1U) << text;
  return all.empty() ? GlobalDeclaration() : all.front();
}

std::string names(std::string_view text) {
  std::string joined;
  for (const GlobalDeclaration& each : parse_declarations(text))
    joined += (joined.empty() ? "" : " ") + each.declaration.name;
  return joined;
}

std::string text_of(const Requirement& requirement) {
  std::string text = requirement.is_absent ? "no " : "";
  text += (requirement.is_symbol ? "symbol " : "struct ") + requirement.name;
  return requirement.member.empty() ? text : text + " with " + requirement.member;
}

std::string requirements(std::string_view text) {
  std::string joined;
  for (const Requirement& each : one(text).requirements)
    joined += (joined.empty() ? "" : ", ") + text_of(each);
  return joined;
}

std::string message(std::string_view text) {
  try {
    parse_declarations(text);
  } catch (const syntax::SyntaxError& error) {
    return error.what();
  }
  return "no error";
}

void expect_failure(std::string_view text, const std::string& expected) {
  EXPECT_NE(message(text).find(expected), std::string::npos) << text << ": " << message(text);
}

TEST(Globals, FileIsWholeAndSortedByName) {
  const auto all = all_declarations();
  EXPECT_GE(all.size(), kLeastDeclarations);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.declaration.name < b.declaration.name;
  }));
  for (const GlobalDeclaration& each : all) EXPECT_FALSE(each.declaration.name.empty());
}

TEST(Globals, FileHasNoDeclarationThatCannotBeReached) {
  // One without requirements, of a type that every image has, hides those behind it.
  for (const GlobalDeclaration& each : all_declarations()) {
    const syntax::TypeName& type = each.declaration.type;
    if (!each.requirements.empty() || type.tag != syntax::Tag::none || !syntax::is_type_keyword(type.name))
      continue;
    EXPECT_EQ(&each, &declarations_of(each.declaration.name).back()) << each.declaration.name;
  }
}

TEST(Globals, DeclarationsOfOneName) {
  const auto found = declarations_of("init_task");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.front().declaration.type.name, "task_struct");
  EXPECT_FALSE(found.front().is_per_cpu);

  const auto tk_core = declarations_of("tk_core");
  ASSERT_GE(tk_core.size(), 2U);
  EXPECT_EQ(tk_core.front().declaration.type.name, "tk_data") << "the newest layout is tried first";
  EXPECT_EQ(tk_core.back().declaration.type.members.size(), 2U);

  EXPECT_TRUE(declarations_of("").empty());
  EXPECT_TRUE(declarations_of("init_tas").empty());
  EXPECT_TRUE(declarations_of("~").empty());
}

TEST(Globals, SortsByNameAndKeepsTheOrderOfOneName) {
  EXPECT_EQ(names("int c; int a; int b;"), "a b c");
  const auto all = parse_declarations("struct late b; int a; struct early b; struct last b;");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[1].declaration.type.name, "late");
  EXPECT_EQ(all[2].declaration.type.name, "early");
  EXPECT_EQ(all[3].declaration.type.name, "last");
}

TEST(Globals, EmptyTextAndComments) {
  EXPECT_EQ(names(""), "");
  EXPECT_EQ(names(" \n// int a;\n"), "");
  EXPECT_EQ(names("int a;  // the first; of two\nint b;"), "a b");
}

TEST(Globals, PerCpu) {
  EXPECT_TRUE(one("__percpu struct rq runqueues;").is_per_cpu);
  EXPECT_FALSE(one("struct rq runqueues;").is_per_cpu);
  EXPECT_EQ(one("__percpu struct rq runqueues;").declaration.type.name, "rq");
}

TEST(Globals, Arrays) {
  const auto counted = one("const char *const names[9];").declaration.type.derivations;
  ASSERT_EQ(counted.size(), 2U);
  EXPECT_EQ(counted[0].kind, syntax::DerivationKind::pointer);
  EXPECT_EQ(counted[1].kind, syntax::DerivationKind::array);
  EXPECT_EQ(counted[1].count, 9U);
  EXPECT_EQ(one("int to_the_next[];").declaration.type.derivations.front().count, 0U);
  EXPECT_EQ(one("int all[NR_ALL];").declaration.type.derivations.front().count_name, "NR_ALL");
}

TEST(Globals, Requirements) {
  EXPECT_EQ(requirements("int a;"), "");
  EXPECT_EQ(requirements("int a requires symbol b;"), "symbol b");
  EXPECT_EQ(requirements("int a requires ! symbol b;"), "no symbol b");
  EXPECT_EQ(requirements("int a requires !symbol b;"), "no symbol b");
  EXPECT_EQ(requirements("int a requires struct b;"), "struct b");
  EXPECT_EQ(requirements("int a requires union b;"), "struct b");
  EXPECT_EQ(requirements("int a requires struct b.c;"), "struct b with c");
  EXPECT_EQ(requirements("int a requires ! struct b.c;"), "no struct b with c");
  EXPECT_EQ(requirements("__percpu int a[2] requires ! struct b requires symbol c requires struct d.e;"),
            "no struct b, symbol c, struct d with e");
}

TEST(Globals, RefusesWhatIsNoDeclaration) {
  expect_failure("int a", "expected \";\", found the end");
  expect_failure("int a int b;", "expected \";\", found \"int\"");
  expect_failure("int;", "expected a name, found \";\"");
  expect_failure("__percpu;", "expected a type");
  expect_failure("int a = 1;", "expected \";\", found \"=\"");
  expect_failure("struct { int a } b;", "expected \";\", found \"}\"");
}

TEST(Globals, RefusesBadArrays) {
  expect_failure("int a[;", "expected \"]\", found \";\"");
  expect_failure("int a[3;", "expected \"]\", found \";\"");
  expect_failure("int a[-1];", "expected \"]\", found \"-\"");
  expect_failure("int a[N + 1];", "expected \"]\", found \"+\"");
  expect_failure("int a];", "expected \";\", found \"]\"");
}

TEST(Globals, RefusesBadRequirements) {
  expect_failure("int a requires member b;", "expected \"struct\", found \"member\"");
  expect_failure("int a requires ;", "expected \"struct\", found \";\"");
  expect_failure("int a requires symbol;", "expected a name, found \";\"");
  expect_failure("int a requires symbol b.c;", "expected \";\", found \".\"");
  expect_failure("int a requires struct b.;", "expected a member's name, found \";\"");
  expect_failure("int a needs symbol b;", "expected \";\", found \"needs\"");
}

}  // namespace
}  // namespace kvista::kernel
