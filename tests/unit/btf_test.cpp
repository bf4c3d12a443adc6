#include "decode/btf.h"

#include <gtest/gtest.h>

#include "images/btf_builder.h"
#include "unit/failure.h"

namespace kvista::decode {
namespace {

using test::BtfBuilder;
using Bytes = std::vector<std::byte>;

// 1 int, 2 long, 3 struct point, 4 typedef point_t, 5 enum colour, 6 array, 7 function prototype
BtfBuilder sample(ByteOrder order = ByteOrder::little) {
  BtfBuilder builder(order);
  const uint32_t i = builder.integer("int", 4, true);
  builder.integer("long", 8, true);
  const uint32_t point = builder.structure("point", 8, {{"x", i, 0}, {"y", i, 32, 3}});
  builder.reference(8, "point_t", point);
  builder.enumeration("colour", {{"RED", -1}, {"BLUE", 7}});
  builder.array(i, i, 5);
  builder.prototype(i, {{"where", point, 0}});
  return builder;
}

class EitherOrder : public testing::TestWithParam<ByteOrder> {};
INSTANTIATE_TEST_SUITE_P(Btf, EitherOrder, testing::Values(ByteOrder::little, ByteOrder::big));

TEST_P(EitherOrder, EveryKindIsReadAsItWasWritten) {
  const Btf btf(sample(GetParam()).build(), GetParam());
  EXPECT_EQ(btf.damage(), "");
  ASSERT_EQ(btf.end_id(), 8U);
  EXPECT_EQ(btf.type(1).name, "int");
  EXPECT_TRUE(btf.integer(btf.type(1)).is_signed);
  EXPECT_EQ(btf.integer(btf.type(2)).bits, 64);
  const auto members = btf.members(btf.type(3));
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[1].name, "y");
  EXPECT_EQ(members[1].bit_offset, 32U);
  EXPECT_EQ(members[1].bit_size, 3U);
  EXPECT_EQ(btf.type(4).size_or_type, 3U);
  const auto colours = btf.enumerators(btf.type(5));
  ASSERT_EQ(colours.size(), 2U);
  EXPECT_EQ(static_cast<int64_t>(colours[0].value), -1);
  EXPECT_EQ(colours[1].name, "BLUE");
  EXPECT_EQ(btf.array(btf.type(6)).count, 5U);
  EXPECT_EQ(btf.members(btf.type(7)).at(0).type, 3U);
}

TEST(Btf, NamesAreFoundAndVoidHasNone) {
  const Btf btf(sample().build(), ByteOrder::little);
  EXPECT_EQ(btf.find("point"), std::vector<BtfId>{3});
  EXPECT_EQ(btf.find("colour"), std::vector<BtfId>{5});
  EXPECT_TRUE(btf.find("nothing").empty());
  EXPECT_TRUE(btf.find("").empty());
  EXPECT_EQ(btf.type(0).kind, BtfKind::none);
}

TEST(Btf, SplitBtfGoesOnWhereItsBaseEnds) {
  const BtfBuilder base_builder = sample();
  const Btf base(base_builder.build(), ByteOrder::little);
  BtfBuilder builder(ByteOrder::little, base_builder);
  builder.structure("line", 16, {{"from", 3, 0}, {"to", 3, 64}});
  const Btf split(builder.build(), ByteOrder::little, &base);
  EXPECT_EQ(split.first_id(), 8U);
  EXPECT_EQ(split.find("line"), std::vector<BtfId>{8});
  EXPECT_EQ(split.members(split.type(8)).at(1).name, "to");
  EXPECT_EQ(split.type(3).name, "point");
}

TEST(Btf, AnUnknownKindEndsTheTypesWithOneSentence) {
  BtfBuilder builder = sample();
  builder.add("future", 25, 0, 0);
  builder.integer("after", 4);
  const Btf btf(builder.build(), ByteOrder::little);
  EXPECT_EQ(btf.end_id(), 8U);
  EXPECT_EQ(btf.damage(),
            "BTF type 8 is of kind 25, which kvista does not know: the types before it are used");
  EXPECT_EQ(btf.find("point"), std::vector<BtfId>{3});
}

TEST(Btf, ACutTableGivesWhatIsThere) {
  const Bytes whole = sample().build();
  size_t all = 0;
  for (size_t size = kBtfHeader; size < whole.size(); ++size) {
    const Btf btf(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)), ByteOrder::little);
    EXPECT_NE(btf.damage(), "") << size;
    EXPECT_LE(btf.end_id(), 8U);
    all += btf.end_id() == 8 ? 1 : 0;  // only strings are missing
  }
  EXPECT_GT(all, 10U);
}

TEST(Btf, WhatIsNoBtfIsRefused) {
  Bytes bytes = sample().build();
  EXPECT_EQ(btf_size(bytes, ByteOrder::little), bytes.size());
  EXPECT_EQ(btf_size(bytes, ByteOrder::big), 0U);
  bytes[2] = std::byte{9};
  EXPECT_EQ(test::failure_of<FormatError>([&] { Btf(bytes, ByteOrder::little); }),
            "this is no BTF: its header makes no sense");
  const Btf good(sample().build(), ByteOrder::little);
  EXPECT_EQ(test::failure_of<FormatError>([&] { good.type(99); }), "BTF refers to type 99, and has 7");
}

}  // namespace
}  // namespace kvista::decode
