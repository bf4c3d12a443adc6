#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "unit/failure.h"
#include "unit/page_layouts.h"

namespace kvista::test {
namespace {

using pages::derive_page_rules;
using pages::HugetlbRule;
using pages::MaskedMatch;
using pages::match_for_page_type;
using pages::OrderRule;
using pages::PageRules;
using testing::HasSubstr;
using vmcoreinfo::VmcoreInfo;

std::string failure_of(const std::string& note) {
  return test::failure_of<NotFound>([&] { derive_page_rules(VmcoreInfo(note)); });
}

class PageRulesOf : public testing::TestWithParam<NoteLayout> {};
INSTANTIATE_TEST_SUITE_P(AllLayouts, PageRulesOf, testing::ValuesIn(note_layouts()));

TEST_P(PageRulesOf, MembersAndFlags) {
  const NoteLayout& layout = GetParam();
  const PageRules rules = rules_of(layout);
  EXPECT_EQ(rules.struct_size, layout.struct_size);
  EXPECT_EQ(rules.mapping, 24U);
  EXPECT_EQ(rules.mapcount, 48U);
  EXPECT_EQ(rules.private_, 40U);
  EXPECT_EQ(rules.compound, 8U);
  EXPECT_EQ(rules.lru, uint64_t{1} << layout.lru);
  EXPECT_EQ(rules.private_flag, uint64_t{1} << layout.priv);
  EXPECT_EQ(rules.reserved, uint64_t{1} << (layout.priv - 1));
  EXPECT_EQ(rules.head, uint64_t{1} << layout.head);
  EXPECT_EQ(rules.slab_flag, layout.slab_bit ? uint64_t{1} << *layout.slab_bit : 0);
  EXPECT_EQ(rules.hwpoison, layout.hwpoison ? uint64_t{1} << *layout.hwpoison : 0);
  EXPECT_EQ(rules.buddy_orders, kBuddyOrders);
}

TEST_P(PageRulesOf, Types) {
  const NoteLayout& layout = GetParam();
  const PageRules rules = rules_of(layout);
  const auto check = [&](const MaskedMatch& match, std::optional<int32_t> value) {
    EXPECT_EQ(match.known(), value.has_value());
    EXPECT_TRUE(!value || match.matches(static_cast<uint32_t>(*value)));
    for (const uint32_t counted : {0xffffffffU, 0U, 1U, 0x7fffffffU}) EXPECT_FALSE(match.matches(counted));
  };
  check(rules.buddy, layout.buddy);
  check(rules.slab, layout.slab);
  check(rules.hugetlb, layout.hugetlb);
  check(rules.offline, layout.offline);
  check(rules.unaccepted, layout.unaccepted);
  check(rules.page_table, layout.table);
  const std::array matches = {&rules.buddy,   &rules.slab,       &rules.hugetlb,
                              &rules.offline, &rules.unaccepted, &rules.page_table};
  for (const auto value : {std::optional(layout.buddy), layout.slab, layout.hugetlb, layout.offline,
                           layout.unaccepted, layout.table}) {
    if (!value) continue;
    const auto hits = std::count_if(matches.begin(), matches.end(), [&](const MaskedMatch* match) {
      return match->matches(static_cast<uint32_t>(*value));
    });
    EXPECT_EQ(hits, 1) << "each type is told from the others: " << *value;
  }
}

TEST_P(PageRulesOf, CompoundPages) {
  const NoteLayout& layout = GetParam();
  const PageRules rules = rules_of(layout);
  const uint32_t second = layout.struct_size;
  switch (layout.compound) {
    case Compound::second_u16:
      EXPECT_EQ(rules.order_rule, OrderRule::second_u16);
      EXPECT_EQ(rules.order_at, second + 18);
      EXPECT_EQ(rules.hugetlb_rule, HugetlbRule::destructor_u16);
      EXPECT_EQ(rules.destructor_at, second + 16);
      break;
    case Compound::second_u8:
    case Compound::folio_u8:
      EXPECT_EQ(rules.order_rule, OrderRule::second_u8);
      EXPECT_EQ(rules.order_at, second + 17);
      EXPECT_EQ(rules.hugetlb_rule, HugetlbRule::destructor_u8);
      EXPECT_EQ(rules.destructor_at, second + 16);
      break;
    case Compound::flags_bit:
      EXPECT_EQ(rules.order_rule, OrderRule::second_flags);
      EXPECT_EQ(rules.order_at, second);
      EXPECT_EQ(rules.hugetlb_rule, HugetlbRule::second_flag);
      EXPECT_EQ(rules.hugetlb_value, uint64_t{1} << kHugetlbBit);
      break;
    case Compound::flags_type:
      EXPECT_EQ(rules.order_rule, OrderRule::second_flags);
      EXPECT_EQ(rules.order_at, second);
      EXPECT_EQ(rules.hugetlb_rule, HugetlbRule::type);
      break;
  }
}

TEST_P(PageRulesOf, WhatMustBeInTheNote) {
  const std::string note = page_note(GetParam());
  const std::array<const char*, 9> required = {"SIZE(page)",
                                               "OFFSET(page.flags)",
                                               "OFFSET(page.mapping)",
                                               "OFFSET(page._mapcount)",
                                               "OFFSET(page.private)",
                                               "NUMBER(PG_lru)",
                                               "NUMBER(PG_private)",
                                               "NUMBER(PG_swapcache)",
                                               "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"};
  for (const std::string key : required) {
    const size_t at = note.find(key + "=");
    ASSERT_NE(at, std::string::npos) << key;
    std::string without = note;
    without.erase(at, without.find('\n', at) + 1 - at);
    EXPECT_THAT(failure_of(without), HasSubstr(key));
    EXPECT_THAT(failure_of(without), HasSubstr("--vmcoreinfo FILE"));
  }
}

TEST(PageRules, OffsetsThatDoNotFit) {
  const std::string note = page_note(note_layout("6.1"));
  for (const char* wrong :
       {"OFFSET(page.flags)=57", "OFFSET(page.mapping)=64", "OFFSET(page._mapcount)=61",
        "OFFSET(page.private)=18446744073709551612", "OFFSET(page.compound_head)=4294967296",
        "OFFSET(page.compound_order)=57", "OFFSET(page.compound_order)=4294967228",
        "OFFSET(page.compound_dtor)=18446744073709551552", "SIZE(page)=0", "SIZE(page)=60", "SIZE(page)=264",
        "SIZE(page)=18446744073709551552", "NUMBER(PG_lru)=64", "NUMBER(PG_hwpoison)=-1",
        "NUMBER(PG_slab)=4000000000"})
    EXPECT_NE(failure_of(note + wrong + "\n"), "no failure") << wrong;
  for (const char* right : {"OFFSET(page.flags)=56", "OFFSET(page._mapcount)=60", "SIZE(page)=256"})
    EXPECT_EQ(failure_of(note + right + "\n"), "no failure") << right;
  const std::string folio = page_note(note_layout("6.4"));
  EXPECT_NE(failure_of(folio + "OFFSET(folio._folio_order)=121\n"), "no failure");
  EXPECT_NE(failure_of(folio + "OFFSET(folio._folio_order)=4294967295\n"), "no failure");
}

TEST(PageRules, TheUsersSizeOfStructPage) {
  const VmcoreInfo note(page_note(note_layout("6.12")));
  EXPECT_EQ(derive_page_rules(note, 80).struct_size, 80U);
  EXPECT_EQ(derive_page_rules(note, 80).order_at, 80U);
  EXPECT_THROW(derive_page_rules(note, 1000), NotFound);
}

TEST(PageRules, OrdersOfTheBuddyAllocator) {
  const std::string note = page_note(note_layout("6.12"));
  const auto orders = [&](const std::string& length) {
    return derive_page_rules(VmcoreInfo(note + "LENGTH(zone.free_area)=" + length + "\n")).buddy_orders;
  };
  EXPECT_EQ(orders("14"), 14U);
  EXPECT_EQ(orders("0"), 11U);
  EXPECT_EQ(orders("99999"), 11U);
}

// The three encodings, from their own value.
TEST(PageType, ExactValue) {
  const MaskedMatch match = match_for_page_type(static_cast<uint64_t>(int64_t{-128}));
  EXPECT_TRUE(match.matches(0xffffff80));
  for (const uint32_t other : {0xffffff00U, 0xffffffffU, 0x7fffff80U, 0xffffff81U, 0U})
    EXPECT_FALSE(match.matches(other)) << other;
}

TEST(PageType, OneColdBit) {
  const MaskedMatch match = match_for_page_type(static_cast<uint64_t>(int64_t{-129}));
  EXPECT_TRUE(match.matches(0xffffff7f));
  EXPECT_TRUE(match.matches(0xfffffe7f)) << "and another type beside it";
  for (const uint32_t other : {0xffffffffU, 0xfffffeffU, 0x7fffff7fU, 0U, 0x7fU})
    EXPECT_FALSE(match.matches(other)) << other;
}

TEST(PageType, TypeByte) {
  const MaskedMatch match = match_for_page_type(static_cast<uint64_t>(int64_t{-268435456}));
  EXPECT_TRUE(match.matches(0xf0000000));
  EXPECT_TRUE(match.matches(0xf0123456)) << "the page's own data is below";
  for (const uint32_t other : {0xf1000000U, 0xffffffffU, 0xe0000000U, 0U})
    EXPECT_FALSE(match.matches(other)) << other;
  EXPECT_TRUE(match_for_page_type(0xf0000000).matches(0xf0000000)) << "exported without a sign";
}

TEST(PageType, WhatIsNotExportedNeverMatches) {
  const MaskedMatch none;
  for (const uint32_t word : {0U, 1U, 0xffffffffU, 0xf0000000U}) EXPECT_FALSE(none.matches(word));
}

}  // namespace
}  // namespace kvista::test
