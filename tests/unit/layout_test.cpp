#include "type/layout.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "images/btf_builder.h"
#include "type/btf_types.h"
#include "unit/failure.h"

namespace kvista::type {
namespace {

using test::BtfBuilder;

// One line a row: kind, depth, declaration, offset and bits.
std::string text_of(const std::vector<LayoutRow>& rows) {
  std::string text;
  for (const LayoutRow& row : rows)
    text += fmt::format("{} {} {} {} {} {}\n", static_cast<int>(row.kind), row.depth, row.declaration,
                        row.offset ? static_cast<int64_t>(*row.offset) : -1, row.bits,
                        row.bit ? static_cast<int64_t>(*row.bit) : -1);
  return text;
}

TEST(Layout, ShowsHolesBitFieldsAndMembersWithoutAName) {
  BtfBuilder builder;
  const uint32_t c = builder.integer("char", 1);
  const uint32_t i = builder.integer("unsigned int", 4);
  const uint32_t inner = builder.structure("", 4, {{"low", i, 0}, {"all", i, 0}}, true);
  builder.structure("thing", 20,
                    {{"a", c, 0}, {"b", i, 32}, {"x", i, 64, 3}, {"y", i, 69, 2}, {"", inner, 96}});
  const BtfTypes types(builder.build(), ByteOrder::little, 8);
  EXPECT_EQ(text_of(layout_of(types.find("thing", Kind::structure).at(0))),
            "0 0 struct thing { -1 0 -1\n"
            "1 1 char a 0 8 -1\n"
            "2 1  1 24 -1\n"
            "1 1 unsigned int b 4 32 -1\n"
            "1 1 unsigned int x:3 8 3 0\n"
            "2 1  8 2 -1\n"
            "1 1 unsigned int y:2 8 2 5\n"
            "2 1  8 25 -1\n"
            "0 1 union { -1 0 -1\n"
            "1 2 unsigned int low 12 32 -1\n"
            "1 2 unsigned int all 12 32 -1\n"
            "4 1 } 12 32 -1\n"
            "3 1  16 32 -1\n"
            "4 0 } 0 160 -1\n");
}

TEST(Layout, WhatHoldsItselfIsAnError) {
  BtfBuilder builder;
  builder.structure("", 8, {{"", 1, 0}});
  const BtfTypes types(builder.build(), ByteOrder::little, 8);
  EXPECT_EQ(test::failure_of<FormatError>([&] { layout_of(Type(&types, 1)); }), "type 1 holds itself");
}

}  // namespace
}  // namespace kvista::type
