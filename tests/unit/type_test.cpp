#include "kvista/type.h"

#include <gtest/gtest.h>

#include "images/btf_builder.h"
#include "type/btf_types.h"
#include "type/derived_types.h"
#include "unit/failure.h"

namespace kvista::type {
namespace {

using test::BtfBuilder;

BtfTypes types_of(const BtfBuilder& builder) {
  return {builder.build(), ByteOrder::little, 8};
}

TEST(Type, DeclarationsReadAsInC) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4, true);
  const uint32_t c = builder.integer("char", 1, true);
  const uint32_t point = builder.structure("point", 4, {{"x", i, 0}});
  const uint32_t pointer = builder.pointer(point);
  const uint32_t constant = builder.reference(10, "", c);
  const uint32_t text = builder.pointer(constant);
  const uint32_t array = builder.array(pointer, i, 4);
  const uint32_t matrix = builder.array(builder.array(i, i, 3), i, 2);
  const uint32_t prototype = builder.prototype(i, {{"at", pointer, 0}, {"", 0, 0}});
  const uint32_t callback = builder.pointer(prototype);
  const uint32_t callbacks = builder.array(callback, i, 2);
  const uint32_t fixed = builder.reference(10, "", pointer);
  const uint32_t nothing = builder.pointer(0);
  const BtfTypes types = types_of(builder);
  const auto text_of = [&](uint32_t id, std::string_view name) { return Type(&types, id).declaration(name); };
  EXPECT_EQ(text_of(pointer, "p"), "struct point *p");
  EXPECT_EQ(text_of(text, ""), "const char *");
  EXPECT_EQ(text_of(array, "all"), "struct point *all[4]");
  EXPECT_EQ(text_of(matrix, "m"), "int m[2][3]");
  EXPECT_EQ(text_of(callback, "done"), "int (*done)(struct point *, ...)");
  EXPECT_EQ(text_of(callbacks, "done"), "int (*done[2])(struct point *, ...)");
  EXPECT_EQ(text_of(fixed, "p"), "struct point *const p");
  EXPECT_EQ(text_of(nothing, "p"), "void *p");
  EXPECT_EQ(Type().declaration(), "void");
  EXPECT_EQ(Type(&types, matrix).size(), 24U);
  EXPECT_EQ(Type(&types, array).size(), 32U);
}

TEST(Type, MembersWithoutANameAreLookedThrough) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  const uint32_t inner = builder.structure("", 8, {{"low", i, 0}, {"high", i, 32, 5}});
  const uint32_t either = builder.structure("", 8, {{"", inner, 0}, {"all", i, 0}}, true);
  const uint32_t named = builder.reference(10, "", either);
  builder.structure("outer", 16, {{"first", i, 0}, {"", named, 64}});
  const BtfTypes types = types_of(builder);
  const Type outer = types.find("outer", Kind::structure).at(0);
  const auto high = outer.find_member("high");
  ASSERT_TRUE(high);
  EXPECT_EQ(high->bit_offset, 96U);
  EXPECT_EQ(high->bit_size, 5U);
  EXPECT_EQ(outer.find_member("all")->bit_offset, 64U);
  EXPECT_FALSE(outer.find_member("none"));
}

TEST(Type, OfOneNameThatWithMembersIsFirst) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  builder.structure("thing", 0, {});
  const uint32_t full = builder.structure("thing", 4, {{"x", i, 0}});
  builder.reference(8, "thing", i);
  const BtfTypes types = types_of(builder);
  const auto found = types.find("thing", Kind::structure);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].id(), full);
  EXPECT_EQ(types.find("thing", Kind::type_definition).size(), 1U);
}

TEST(Type, EnumeratorsVariablesAndFunctionsAreFoundByName) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  builder.enumeration("colour", {{"RED", -2}, {"BLUE", 7}});
  builder.variable("counter", i);
  builder.reference(12, "main", builder.prototype(i, {}));
  const BtfTypes types = types_of(builder);
  EXPECT_EQ(static_cast<int64_t>(types.enumerator("RED").value()), -2);
  EXPECT_EQ(types.enumerator("BLUE"), 7U);
  EXPECT_FALSE(types.enumerator("GREEN"));
  EXPECT_EQ(types.variable("counter")->name(), "int");
  EXPECT_EQ(types.function("main")->declaration("main"), "int main(void)");
  EXPECT_FALSE(types.variable("main"));
}

TEST(Type, CyclesAndAbsurdSizesAreErrorsAndNothingWorse) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  builder.reference(8, "self", 2);
  builder.array(4, i, 0xffffffff);
  builder.array(5, i, 0xffffffff);
  builder.array(i, i, 0xffffffff);
  builder.structure("knot", 8, {{"", 6, 0}});
  builder.reference(10, "", 99);
  builder.array(8, i, 1);
  const BtfTypes types = types_of(builder);
  const auto failure = [&](auto act) { return test::failure_of<FormatError>(act); };
  EXPECT_EQ(failure([&] { Type(&types, 2).resolved(); }), "type 2 (self) leads to itself");
  EXPECT_EQ(failure([&] { Type(&types, 3).size(); }), "type 3 is larger than any memory");
  EXPECT_EQ(failure([&] { Type(&types, 8).size(); }), "type 8 leads to itself");
  EXPECT_EQ(failure([&] { Type(&types, 8).declaration("x"); }), "type 8 leads to itself");
  EXPECT_EQ(failure([&] { Type(&types, 6).find_member("x"); }), "type 6 (knot) leads to itself");
  EXPECT_EQ(failure([&] { Type(&types, 7).resolved(); }), "BTF refers to type 99, and has 8");
}

// A prototype whose parameters are of that prototype, and a tree of members that doubles with each level.
TEST(Type, WhatGrowsWithoutEndIsAnError) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  builder.prototype(i, {{"self", 2, 0}, {"again", 2, 0}});
  for (uint32_t level = 3; level < 33; ++level)
    builder.structure("", 8, {{"", level + 1, 0}, {"", level + 1, 0}});
  builder.structure("", 8, {{"x", i, 0}});
  const BtfTypes types = types_of(builder);
  EXPECT_EQ(test::failure_of<FormatError>([&] { Type(&types, 2).declaration("f"); }),
            "type 2 leads to itself");
  EXPECT_EQ(test::failure_of<FormatError>([&] { Type(&types, 3).find_member("y"); }).substr(0, 5), "type ");
}

TEST(Type, PointersAndArraysAreMadeWhereATableHasNone) {
  BtfBuilder builder;
  builder.integer("int", 4);
  const BtfTypes types = types_of(builder);
  DerivedTypes derived(8);
  const Type pointer = derived.pointer_to(Type(&types, 1));
  EXPECT_EQ(pointer.declaration("p"), "int *p");
  EXPECT_EQ(pointer.size(), 8U);
  EXPECT_EQ(derived.pointer_to(Type(&types, 1)), pointer);
  EXPECT_EQ(derived.array_of(pointer, 3).declaration(), "int *[3]");
}

}  // namespace
}  // namespace kvista::type
