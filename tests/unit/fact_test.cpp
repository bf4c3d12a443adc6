#include "kvista/fact.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace kvista::machine {
namespace {

TEST(Fact, TableHasEachFactAtItsPlace) {
  ASSERT_EQ(all_facts().size(), kFactCount);
  std::set<std::string> names;
  for (size_t i = 0; i < kFactCount; ++i) {
    const FactInfo& info = all_facts()[i];
    EXPECT_EQ(static_cast<size_t>(info.id), i) << info.name;
    EXPECT_EQ(fact_by_name(info.name), info.id);
    EXPECT_TRUE(names.insert(info.name).second) << info.name << " is there twice";
  }
  EXPECT_EQ(fact_by_name("no_such_fact"), std::nullopt);
  EXPECT_EQ(fact_by_name(""), std::nullopt);
}

TEST(Fact, EverySourceAndVerdictHasAName) {
  for (int i = 0; i <= static_cast<int>(Source::documented); ++i)
    EXPECT_STRNE(describe(static_cast<Source>(i)), "");
  for (int i = 0; i <= static_cast<int>(Verdict::candidate); ++i)
    EXPECT_STRNE(describe(static_cast<Verdict>(i)), "");
}

TEST(Fact, WritesValuesInTheirForm) {
  EXPECT_EQ(format(uint64_t{0xff11000000000000}, Form::hex), "0xff11000000000000");
  EXPECT_EQ(format(uint64_t{0}, Form::hex), "0x0");
  EXPECT_EQ(format(uint64_t{4096}, Form::decimal), "4096");
  EXPECT_EQ(format(std::string("6.1.0"), Form::text), "6.1.0");
  EXPECT_EQ(format(uint64_t{0}, Form::time), "none");
  EXPECT_EQ(format(uint64_t{1795457957}, Form::time), "2026-11-23T18:19:17Z");
  EXPECT_EQ(format(UINT64_MAX, Form::time), "18446744073709551615 s after 1970");
  EXPECT_EQ(format(VirtRange{VirtAddr{0xff11000000000000}, VirtAddr{UINT64_MAX}}, Form::virt_range),
            "0xff11000000000000-0xffffffffffffffff");
  EXPECT_EQ(format(PhysRanges{}, Form::phys_ranges), "none");
  EXPECT_EQ(format(PhysRanges{{PhysAddr{0x1000}, 0x1000}, {PhysAddr{0x8000}, 1}}, Form::phys_ranges),
            "0x1000-0x1fff,0x8000-0x8000");
}

void expect_round_trip(const FactValue& value, Form form) {
  const std::string text = format(value, form);
  const auto back = parse(text, form);
  ASSERT_TRUE(back) << text << " is not read";
  EXPECT_EQ(*back, value) << text;
}

TEST(Fact, ReadsWhatItWrites) {
  for (const uint64_t n : {uint64_t{0}, uint64_t{1}, uint64_t{4096}, uint64_t{1795457957}, UINT64_MAX})
    for (const Form form : {Form::decimal, Form::hex, Form::time}) expect_round_trip(n, form);
  expect_round_trip(uint64_t{253402300799}, Form::time);
  expect_round_trip(uint64_t{253402300800}, Form::time);
  expect_round_trip(uint64_t{951782400}, Form::time);  // 29 February 2000
  expect_round_trip(std::string("6.1.0-56-cloud-amd64"), Form::text);
  expect_round_trip(VirtRange{VirtAddr{0}, VirtAddr{UINT64_MAX}}, Form::virt_range);
  expect_round_trip(VirtRange{VirtAddr{0xffffffffc0000000}, VirtAddr{0xfffffffffeffffff}}, Form::virt_range);
  expect_round_trip(PhysRanges{}, Form::phys_ranges);
  expect_round_trip(PhysRanges{{PhysAddr{0x2b000000}, 0x8000000}}, Form::phys_ranges);
  expect_round_trip(PhysRanges{{PhysAddr{0}, 1}, {PhysAddr{0x100000000}, 0x1000}}, Form::phys_ranges);
}

TEST(Fact, ReadsNumbersAsPeopleWriteThem) {
  EXPECT_EQ(parse("ff11000000000000", Form::hex), FactValue(uint64_t{0xff11000000000000}));
  EXPECT_EQ(parse("0xff11000000000000", Form::hex), FactValue(uint64_t{0xff11000000000000}));
  EXPECT_EQ(parse("0x1000", Form::decimal), FactValue(uint64_t{4096}));
  EXPECT_EQ(parse("-329252864", Form::decimal), FactValue(static_cast<uint64_t>(int64_t{-329252864})));
  EXPECT_EQ(parse("-13a00000", Form::hex), FactValue(uint64_t{0} - 0x13a00000));
  EXPECT_EQ(parse("1795457957", Form::time), FactValue(uint64_t{1795457957}));
}

TEST(Fact, RefusesNumbersThatAreNone) {
  for (const char* text : {"", "-", "0x", "x", "12x", " 1", "1 ", "--1", "0x-1", "18446744073709551616",
                           "-9223372036854775809", "-18446744073709551615"})
    EXPECT_EQ(parse(text, Form::decimal), std::nullopt) << text;
  EXPECT_EQ(parse("12g", Form::hex), std::nullopt);
}

TEST(Fact, RefusesTimesThatAreNone) {
  for (const char* text :
       {"2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-23", "2026-11-23T18:19:17",
        "2026-11-23T24:00:00Z", "2026-11-23T18:60:17Z", "2026-11-23T18:19:17Zx", "yesterday"})
    EXPECT_EQ(parse(text, Form::time), std::nullopt) << text;
}

TEST(Fact, RefusesRangesThatAreNone) {
  for (const char* text : {"", "0x1000", "0x1000-", "-0x1000", "0x2000-0x1000", "1-2-3", "x-y", "0x1-0x2 "})
    EXPECT_EQ(parse(text, Form::virt_range), std::nullopt) << text;
  for (const char* text : {"", ",", "0x1000-0x1fff,", "0x2000-0x1000", "0x0-0xffffffffffffffff", "none,"})
    EXPECT_EQ(parse(text, Form::phys_ranges), std::nullopt) << text;
}

}  // namespace
}  // namespace kvista::machine
