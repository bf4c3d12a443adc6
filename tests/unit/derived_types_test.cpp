#include "type/derived_types.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "images/btf_builder.h"
#include "type/btf_types.h"
#include "unit/failure.h"

namespace kvista::type {
namespace {

using test::BtfBuilder;

BtfTypes types_of(const BtfBuilder& builder) {
  return {builder.build(), ByteOrder::little, 8};
}

// "name@offset" of each member in bytes, then the size.
std::string layout(Type type) {
  std::string text;
  for (const Member& member : type.members())
    text += std::string(member.name) + "@" + std::to_string(member.bit_offset / 8) + " ";
  return text + "size " + std::to_string(type.size());
}

class Derived : public testing::Test {
 protected:
  Type integer(std::string_view name, uint64_t size) { return types_.basic(Kind::integer, name, size, true); }
  std::string structure(const std::vector<NamedType>& members) {
    return layout(types_.compound(Kind::structure, members));
  }

  DerivedTypes types_{8};
  Type char_ = integer("char", 1);
  Type short_ = integer("short", 2);
  Type int_ = integer("int", 4);
  Type long_ = integer("long", 8);
};

TEST_F(Derived, SimpleTypesReadAsInC) {
  const Type pointer = types_.pointer_to(int_);
  EXPECT_EQ(pointer.declaration("p"), "int *p");
  EXPECT_EQ(pointer.size(), 8U);
  EXPECT_EQ(DerivedTypes(4).pointer_to(Type()).size(), 4U);
  EXPECT_EQ(types_.array_of(pointer, 3).declaration("a"), "int *a[3]");
  EXPECT_EQ(types_.array_of(pointer, 3).size(), 24U);
  EXPECT_EQ(types_.pointer_to(types_.function_of(long_)).declaration("f"), "long (*f)(void)");
  EXPECT_TRUE(int_.is_signed());
}

TEST_F(Derived, QualifiedTypesReadAsInC) {
  const Type fixed = types_.qualified(int_, "const");
  EXPECT_EQ(fixed.declaration("a"), "const int a");
  EXPECT_EQ(fixed.size(), 4U);
  EXPECT_EQ(fixed.resolved(), int_);
  EXPECT_EQ(types_.qualified(types_.pointer_to(fixed), "const").declaration("p"), "const int *const p");
  EXPECT_EQ(types_.qualified(types_.qualified(int_, "volatile"), "const").declaration(),
            "const volatile int");
  EXPECT_EQ(types_.array_of(fixed, 2).declaration("a"), "const int a[2]");
  EXPECT_EQ(types_.qualified(int_, "const"), fixed);
  EXPECT_NE(types_.qualified(int_, "volatile"), fixed);
}

TEST_F(Derived, OneTypeIsMadeOnce) {
  EXPECT_EQ(types_.pointer_to(int_), types_.pointer_to(int_));
  EXPECT_EQ(types_.array_of(int_, 3), types_.array_of(int_, 3));
  EXPECT_EQ(integer("int", 4), int_);
  EXPECT_NE(types_.array_of(int_, 3), types_.array_of(int_, 4));
  EXPECT_NE(types_.pointer_to(int_), types_.pointer_to(long_));
  EXPECT_NE(integer("int", 8), int_);
  EXPECT_NE(types_.basic(Kind::integer, "int", 4, false), int_);
  EXPECT_NE(types_.basic(Kind::boolean, "int", 4, true), int_);
}

TEST_F(Derived, MembersAreAlignedAndTheEndIsPadded) {
  EXPECT_EQ(structure({{"a", char_}, {"b", int_}, {"c", char_}}), "a@0 b@4 c@8 size 12");
  EXPECT_EQ(structure({{"a", char_}, {"b", short_}, {"c", long_}}), "a@0 b@2 c@8 size 16");
  EXPECT_EQ(structure({{"a", int_}, {"b", types_.array_of(char_, 3)}, {"c", char_}}), "a@0 b@4 c@7 size 8");
  EXPECT_EQ(structure({{"a", char_}, {"b", types_.pointer_to(char_)}}), "a@0 b@8 size 16");
  EXPECT_EQ(structure({{"a", char_}, {"b", types_.array_of(short_, 3)}}), "a@0 b@2 size 8");
  EXPECT_EQ(structure({}), "size 0");
}

TEST_F(Derived, AUnionsMembersShareTheStart) {
  const Type both =
      types_.compound(Kind::union_type, {{"a", types_.array_of(char_, 5)}, {"b", int_}, {"c", short_}});
  EXPECT_EQ(layout(both), "a@0 b@0 c@0 size 8");
  EXPECT_EQ(both.kind(), Kind::union_type);
}

TEST_F(Derived, CompoundsLieInCompounds) {
  const Type inner = types_.compound(Kind::structure, {{"x", char_}, {"y", int_}});
  EXPECT_EQ(alignment_of(inner), 4U);
  EXPECT_EQ(structure({{"a", char_}, {"b", inner}, {"c", char_}}), "a@0 b@4 c@12 size 16");
  const Type outer = types_.compound(Kind::structure, {{"a", char_}, {"", inner}});
  EXPECT_EQ(outer.find_member("y")->bit_offset, 64U);
  EXPECT_EQ(outer.find_member("y")->type, int_);
}

TEST_F(Derived, MembersKeepNamesThatTheyWereLent) {
  std::vector<NamedType> members = {{"a_name_that_is_not_stored_in_place", int_}};
  const Type made = types_.compound(Kind::structure, members);
  members[0].name.assign(members[0].name.size(), 'x');
  EXPECT_EQ(made.members().at(0).name, "a_name_that_is_not_stored_in_place");
}

TEST_F(Derived, WhatIsLargerThanAnyMemoryIsAnError) {
  const Type huge = types_.array_of(char_, UINT64_MAX);
  const auto failure = [&](const std::vector<NamedType>& members) {
    return test::failure_of<FormatError>([&] { structure(members); });
  };
  EXPECT_EQ(failure({{"a", huge}, {"b", int_}}), "member a is larger than any memory");
  const Type large = types_.array_of(char_, uint64_t{1} << 60);
  EXPECT_EQ(failure({{"a", large}, {"b", large}, {"c", int_}}), "member c is larger than any memory");
  EXPECT_EQ(failure({{"a", large}, {"b", int_}}), "no failure");
}

TEST(Alignment, IsThatOfTheType) {
  BtfBuilder builder;
  const uint32_t c = builder.integer("char", 1);
  const uint32_t i = builder.integer("int", 4);
  const uint32_t l = builder.integer("long", 8);
  const uint32_t wide = builder.integer("__int128", 16);
  const uint32_t pointer = builder.pointer(c);
  const uint32_t array = builder.array(i, i, 7);
  const uint32_t name = builder.reference(8, "s64", builder.reference(10, "", l));
  const uint32_t enumeration = builder.enumeration("colour", {{"RED", 1}});
  const uint32_t both = builder.structure("both", 8, {{"a", c, 0}, {"b", l, 0}}, true);
  const uint32_t empty = builder.structure("empty", 0, {});
  const uint32_t bits = builder.structure("bits", 4, {{"a", i, 3, 5}, {"b", i, 8, 1}});
  const BtfTypes types = types_of(builder);
  const auto alignment = [&](uint32_t id) { return alignment_of(Type(&types, id)); };
  EXPECT_EQ(alignment(c), 1U);
  EXPECT_EQ(alignment(i), 4U);
  EXPECT_EQ(alignment(l), 8U);
  EXPECT_EQ(alignment(wide), 16U);
  EXPECT_EQ(alignment(pointer), 8U);
  EXPECT_EQ(alignment(array), 4U);
  EXPECT_EQ(alignment(name), 8U);
  EXPECT_EQ(alignment(enumeration), 4U);
  EXPECT_EQ(alignment(both), 8U);
  EXPECT_EQ(alignment(empty), 1U);
  EXPECT_EQ(alignment(bits), 4U);
  EXPECT_EQ(alignment_of(Type()), 1U) << "void";
}

TEST(Alignment, OfPackedTypesIsLess) {
  BtfBuilder builder;
  const uint32_t c = builder.integer("char", 1);
  const uint32_t i = builder.integer("int", 4);
  const uint32_t l = builder.integer("long", 8);
  const uint32_t odd = builder.structure("odd", 9, {{"a", c, 0}, {"b", l, 8}});
  const uint32_t partly = builder.structure("partly", 16, {{"a", i, 0}, {"b", l, 32}, {"c", i, 96}});
  const uint32_t end = builder.structure("end", 12, {{"a", l, 0}, {"b", i, 64}});
  const uint32_t tight = builder.structure("tight", 5, {{"a", i, 0}, {"b", c, 32}});
  const BtfTypes types = types_of(builder);
  const auto alignment = [&](uint32_t id) { return alignment_of(Type(&types, id)); };
  EXPECT_EQ(alignment(odd), 1U);
  EXPECT_EQ(alignment(partly), 4U);
  EXPECT_EQ(alignment(end), 4U) << "its size is no multiple of 8";
  EXPECT_EQ(alignment(tight), 1U);
  DerivedTypes derived(8);
  const Type made = derived.compound(
      Kind::structure, {{"a", Type(&types, c)}, {"b", Type(&types, odd)}, {"c", Type(&types, end)}});
  EXPECT_EQ(layout(made), "a@0 b@1 c@12 size 24");
}

TEST(Alignment, OfATypeThatHoldsItselfIsAnError) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  const uint32_t knot = builder.structure("knot", 8, {{"a", i, 0}, {"self", 2, 32}});
  const uint32_t list = builder.structure("list", 8, {{"next", 4, 0}});
  builder.pointer(list);
  const uint32_t row = builder.array(6, i, 2);
  builder.structure("rows", 8, {{"all", row, 0}});
  const BtfTypes types = types_of(builder);
  const auto failure = [](auto act) { return test::failure_of<FormatError>(act); };
  EXPECT_EQ(failure([&] { alignment_of(Type(&types, knot)); }), "type 2 holds itself");
  EXPECT_NE(failure([&] { alignment_of(Type(&types, row)); }).find("holds itself"), std::string::npos);
  EXPECT_EQ(alignment_of(Type(&types, list)), 8U) << "a pointer to itself is no harm";
  DerivedTypes derived(8);
  EXPECT_EQ(failure([&] {
              derived.compound(Kind::structure, {{"a", Type(&types, knot)}});
            }),
            "type 2 holds itself");
}

// A tree of members that doubles with each level.
TEST(Alignment, OfWhatGrowsWithoutEndIsAnError) {
  BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4);
  for (uint32_t level = 2; level < 32; ++level)
    builder.structure("", 8, {{"a", level + 1, 0}, {"b", level + 1, 0}});
  builder.structure("leaf", 8, {{"x", i, 0}});
  const BtfTypes types = types_of(builder);
  EXPECT_NE(test::failure_of<FormatError>([&] { alignment_of(Type(&types, 2)); }).find("holds itself"),
            std::string::npos);
}

}  // namespace
}  // namespace kvista::type
