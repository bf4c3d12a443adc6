#include "decode/symbol_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

namespace kvista::decode {
namespace {

constexpr std::array<std::string_view, 2> kNames = {"_stext", "_text"};

FoundSymbols parse(std::string_view text, size_t piece = SIZE_MAX) {
  SymbolTextParser parser(kNames);
  while (!text.empty()) {
    parser.add(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
  }
  return parser.finish();
}

constexpr std::string_view kText =
    "0000000000000000 A fixed_percpu_data\n"
    "ffffffff81000000 T _stext\n"
    "ffffffff81000000 T _text\n"
    "ffffffffc0000000 t _text\t[liar]\n"
    "ffffffff81000100 T other";

TEST(SymbolText, KeepsWhatIsWanted) {
  const FoundSymbols all = parse(kText);
  ASSERT_EQ(all.addresses.size(), 2U);
  EXPECT_EQ(all.addresses.at("_text"), std::set{VirtAddr{0xffffffff81000000}}) << "a module's is left out";
  EXPECT_EQ(all.count, 4U);
  EXPECT_EQ(all.nonzero, 3U);
  EXPECT_EQ(all.nonsense, 0U);
}

TEST(SymbolText, DoesNotDependOnThePieces) {
  for (const size_t piece : {1U, 2U, 7U, 26U, 27U}) {
    const FoundSymbols all = parse(kText, piece);
    EXPECT_EQ(all.addresses, parse(kText).addresses) << piece;
    EXPECT_EQ(all.count, 4U) << piece;
  }
}

TEST(SymbolText, KeepsAllAddressesOfAName) {
  EXPECT_EQ(parse("ffffffff81000000 T _text\nffffffff82000000 t _text\n").addresses.at("_text").size(), 2U);
}

TEST(SymbolText, CountsHiddenAddresses) {
  const FoundSymbols hidden = parse("0000000000000000 T _stext\n0000000000000000 T _text\n");
  EXPECT_EQ(hidden.count, 2U);
  EXPECT_EQ(hidden.nonzero, 0U);
}

TEST(SymbolText, CountsNonsense) {
  const std::string long_line = "ffffffff81000000 T " + std::string(5000, 'x');
  for (const std::string& line : {std::string("see the debug package"), std::string("ffffffff81000000"),
                                  std::string("ffffffff81000000 T "), std::string("ffffffff81000000TT _text"),
                                  std::string("12345678123456781 T _text"), long_line, std::string()})
    EXPECT_EQ(parse(line + "\n").nonsense, 1U) << line;
  EXPECT_EQ(parse(long_line + "\nffffffff81000000 T _text\n", 100).addresses.size(), 1U);
}

}  // namespace
}  // namespace kvista::decode
