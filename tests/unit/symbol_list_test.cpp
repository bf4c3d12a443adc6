#include "symbol/symbol_list.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace kvista::symbol {
namespace {

SymbolList some_symbols() {
  SymbolListBuilder builder;
  builder.add({0x3000}, 'd', "data");
  builder.add({0x2000}, 't', "twice", "xfs");
  builder.add({0x1000}, 'T', "start");
  builder.add({0x1000}, 't', "alias");
  builder.add({0x1800}, 'T', "twice");
  return std::move(builder).finish();
}

std::string text_of(const Symbol& symbol) {
  std::string text(1, symbol.type);
  text += " " + symbol.name + " " + std::to_string(symbol.address.value);
  return symbol.module.empty() ? text : text + " [" + symbol.module + "]";
}

std::string near(const SymbolList& list, uint64_t address) {
  const auto found = list.nearest({address});
  if (!found) return "none";
  return found->symbol.name + "+" + std::to_string(found->offset) + "/" +
         (found->size ? std::to_string(*found->size) : "?");
}

TEST(SymbolList, KnowsAllThatWasAdded) {
  const SymbolList list = some_symbols();
  EXPECT_EQ(list.size(), 5U);
  std::vector<std::string> all;
  list.for_each([&](const Symbol& symbol) { all.push_back(text_of(symbol)); });
  EXPECT_EQ(all, (std::vector<std::string>{"d data 12288", "t twice 8192 [xfs]", "T start 4096",
                                           "t alias 4096", "T twice 6144"}))
      << "in the order in which they were added, each with its module";
}

TEST(SymbolList, FindsByNameInTheOrderOfAddresses) {
  const SymbolList list = some_symbols();
  const auto found = list.find("twice");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(text_of(found[0]), "T twice 6144");
  EXPECT_EQ(text_of(found[1]), "t twice 8192 [xfs]");
  EXPECT_EQ(list.find("data").size(), 1U);
  EXPECT_EQ(list.find("alias").size(), 1U);
  for (const char* name : {"", "dat", "dataa", "twic", "zzz", "DATA"}) EXPECT_TRUE(list.find(name).empty());
}

TEST(SymbolList, FindsTheNearestAtOrBefore) {
  const SymbolList list = some_symbols();
  EXPECT_EQ(near(list, 0xfff), "none");
  EXPECT_EQ(near(list, 0x1000), "start+0/2048") << "the first of those that share an address";
  EXPECT_EQ(near(list, 0x17ff), "start+2047/2048");
  EXPECT_EQ(near(list, 0x1800), "twice+0/2048");
  EXPECT_EQ(near(list, 0x2001), "twice+1/4096");
  EXPECT_EQ(near(list, 0x3000), "data+0/?") << "nothing comes behind the last";
  EXPECT_EQ(near(list, UINT64_MAX - 1), "data+18446744073709539326/?");
  EXPECT_EQ(near(list, UINT64_MAX), "data+18446744073709539327/?");
  EXPECT_EQ(list.nearest({0x2001})->symbol.module, "xfs");
}

TEST(SymbolList, MarksOfCompilersNameNoAddress) {
  SymbolListBuilder builder;
  builder.add({0x1000}, 't', "function", "jbd2");
  builder.add({0x1010}, 't', ".LBE6908", "jbd2");
  builder.add({0x1020}, 't', "$x", "jbd2");
  builder.add({0x1030}, 't', "next", "jbd2");
  const SymbolList list = std::move(builder).finish();
  EXPECT_EQ(near(list, 0x1024), "function+36/48");
  EXPECT_EQ(list.size(), 4U);
  EXPECT_EQ(list.find(".LBE6908").size(), 1U) << "/proc/kallsyms has it";
}

TEST(SymbolList, TheFirstAndTheLastAddressAreLikeOthers) {
  SymbolListBuilder builder;
  builder.add({UINT64_MAX}, 'A', "last");
  builder.add({0}, 'A', "first");
  const SymbolList list = std::move(builder).finish();
  EXPECT_EQ(near(list, 0), "first+0/18446744073709551615");
  EXPECT_EQ(near(list, UINT64_MAX), "last+0/?");
}

TEST(SymbolList, MayBeEmpty) {
  const SymbolList list = SymbolListBuilder().finish();
  EXPECT_EQ(list.size(), 0U);
  EXPECT_TRUE(list.find("x").empty());
  EXPECT_EQ(near(list, UINT64_MAX), "none");
  EXPECT_EQ(near(SymbolList(), 0), "none");
}

TEST(SymbolList, KeepsNamesThatItWasLent) {
  SymbolListBuilder builder;
  std::string name = "borrowed";
  std::string module = "module";
  builder.add({1}, 't', name, module);
  name.assign(name.size(), 'x');
  module.assign(module.size(), 'x');
  const SymbolList list = std::move(builder).finish();
  ASSERT_EQ(list.find("borrowed").size(), 1U);
  EXPECT_EQ(list.find("borrowed")[0].module, "module");
}

TEST(SymbolList, RefusesMoreModulesThanItCanNumber) {
  SymbolListBuilder builder;
  constexpr unsigned kMost = 1 << 16;
  for (unsigned i = 0; i < kMost; ++i) builder.add(VirtAddr{i + 1}, 't', "init", "m" + std::to_string(i));
  EXPECT_THROW(builder.add(VirtAddr{1}, 't', "init", "one more"), FormatError);
  builder.add(VirtAddr{2}, 't', "exit", "m65535");
  const SymbolList list = std::move(builder).finish();
  EXPECT_EQ(list.size(), kMost + 1);
  EXPECT_EQ(list.find("exit").at(0).module, "m65535");
}

}  // namespace
}  // namespace kvista::symbol
