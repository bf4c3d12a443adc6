#include "decode/kallsyms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/failure.h"
#include "unit/kallsyms_blob.h"

namespace kvista::decode {
namespace {

using test::build_kallsyms;
using test::KallsymsBlob;
using test::KallsymsShape;
using test::Symbol;
using test::SymbolEncoding;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kStext = 0xffffffff81000000;
const Kallsyms::Known kKnown{"_stext", VirtAddr{kStext}};

std::vector<Symbol> some_symbols() {
  return {{"_stext", 'T', kStext},
          {"_text", 'T', kStext},
          {"page_offset_base", 'D', 0xffffffff82345678},
          {"init_top_pgt", 'D', 0xffffffff8240a000},
          {"vmalloc_base", 'd', 0xffffffff82345680},
          {"_end", 'B', 0xffffffff83000000}};
}

// A name of more than 127 tokens: no token of the table helps with digits.
std::string long_name() {
  std::string name = "f";
  while (name.size() < 300) name += std::to_string(name.size());
  return name;
}

Kallsyms open_blob(const KallsymsBlob& blob, const KallsymsShape& shape = {},
                   const Kallsyms::Known& known = kKnown) {
  return {blob.reader(), blob.tables, shape.order, shape.word_size, std::span(&known, 1)};
}

std::string failure_of(const KallsymsBlob& blob, const Kallsyms::Known& known = kKnown) {
  return test::failure_of<FormatError>([&] { open_blob(blob, {}, known); });
}

std::vector<std::string> names_of(const Kallsyms& kallsyms) {
  std::vector<std::string> names;
  kallsyms.for_each([&](const KallsymsSymbol& symbol) { names.push_back(symbol.name); });
  return names;
}

void expect_symbols(const Kallsyms& kallsyms, const std::vector<Symbol>& symbols) {
  ASSERT_EQ(kallsyms.size(), symbols.size());
  for (const Symbol& symbol : symbols) {
    const std::string_view name = symbol.name;
    const auto found = kallsyms.find(std::span(&name, 1));
    ASSERT_EQ(found.size(), 1U) << name;
    EXPECT_EQ(found[0].address, VirtAddr{symbol.address}) << name;
    EXPECT_EQ(found[0].type, symbol.type) << name;
    EXPECT_EQ(found[0].name, name);
  }
}

struct Case {
  SymbolEncoding built;
  KallsymsEncoding found;
};
constexpr std::array kCases = {
    Case{SymbolEncoding::place_relative, KallsymsEncoding::place_relative},
    Case{SymbolEncoding::base_relative, KallsymsEncoding::base_relative},
    Case{SymbolEncoding::base_relative_percpu, KallsymsEncoding::base_relative_percpu},
    Case{SymbolEncoding::absolute, KallsymsEncoding::absolute}};

TEST(Kallsyms, ReadsEachEncodingInBothByteOrders) {
  for (const Case& c : kCases) {
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      SCOPED_TRACE(describe(c.found));
      const KallsymsShape shape{c.built, order};
      const KallsymsBlob blob = build_kallsyms(some_symbols(), shape);
      const Kallsyms kallsyms = open_blob(blob, shape);
      EXPECT_EQ(kallsyms.encoding(), c.found);
      expect_symbols(kallsyms, some_symbols());
    }
  }
}

TEST(Kallsyms, ReadsThirtyTwoBitKernels) {
  const std::vector<Symbol> symbols = {{"_stext", 'T', 0xc1000000}, {"jiffies", 'D', 0xc2345678}};
  for (const Case& c : kCases) {
    SCOPED_TRACE(describe(c.found));
    if (c.built == SymbolEncoding::base_relative_percpu) continue;  // of 64-bit kernels only
    const KallsymsShape shape{c.built, ByteOrder::big, 4, 0xc1000000};
    const KallsymsBlob blob = build_kallsyms(symbols, shape, VirtAddr{0xc1800000});
    const Kallsyms kallsyms = open_blob(blob, shape, {"_stext", VirtAddr{0xc1000000}});
    EXPECT_EQ(kallsyms.encoding(), c.found);
    expect_symbols(kallsyms, symbols);
  }
}

TEST(Kallsyms, ReadsAbsolutePerCpuSymbols) {
  auto symbols = some_symbols();
  symbols.push_back({"__per_cpu_start", 'A', 0});
  symbols.push_back({"cpu_number", 'A', 0x1c0a0});
  const KallsymsBlob blob = build_kallsyms(symbols, {SymbolEncoding::base_relative_percpu});
  expect_symbols(open_blob(blob), symbols);
}

TEST(Kallsyms, ReadsNamesWhoseLengthTakesTwoBytes) {
  auto symbols = some_symbols();
  symbols.push_back({long_name(), 't', 0xffffffff81234567});
  const KallsymsBlob blob = build_kallsyms(symbols, {});
  expect_symbols(open_blob(blob), symbols);
}

TEST(Kallsyms, VisitsAllSymbolsInTableOrder) {
  const KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  EXPECT_THAT(names_of(open_blob(blob)),
              ElementsAre("_stext", "_text", "page_offset_base", "vmalloc_base", "init_top_pgt", "_end"));
}

TEST(Kallsyms, ReadsMoreNamesThanOneWindowHolds) {
  std::vector<Symbol> symbols = some_symbols();
  for (uint64_t i = 0; i < 20000; ++i)
    symbols.push_back({"generated_" + std::to_string(i), 't', kStext + 16 + i * 16});
  const KallsymsBlob blob = build_kallsyms(symbols, {SymbolEncoding::place_relative});
  const Kallsyms kallsyms = open_blob(blob);
  EXPECT_EQ(names_of(kallsyms).size(), symbols.size());
  const std::array<std::string_view, 2> wanted = {"generated_19999", "generated_0"};
  const auto found = kallsyms.find(wanted);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "generated_0") << "table order, not the order asked for";
  EXPECT_EQ(found[1].address, VirtAddr{kStext + 16 + uint64_t{19999} * 16});
}

TEST(Kallsyms, FindsAllSymbolsOfOneName) {
  auto symbols = some_symbols();
  symbols.push_back({"page_offset_base", 't', 0xffffffff81000100});
  const KallsymsBlob blob = build_kallsyms(symbols, {});
  const std::string_view name = "page_offset_base";
  EXPECT_EQ(open_blob(blob).find(std::span(&name, 1)).size(), 2U);
}

TEST(Kallsyms, FindsNothingForNamesThatAreNotThere) {
  const KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  const std::array<std::string_view, 3> names = {"page_offset", "page_offset_base_", ""};
  EXPECT_THAT(open_blob(blob).find(names), IsEmpty());
}

TEST(Kallsyms, ChoosesByTheRightOneOfTwoKnownSymbols) {
  // A module-like second _stext comes first in the table.
  auto symbols = some_symbols();
  symbols.push_back({"_stext", 't', kStext - 0x1000});
  const KallsymsShape shape{.encoding = SymbolEncoding::base_relative, .base = kStext - 0x1000};
  const KallsymsBlob blob = build_kallsyms(symbols, shape);
  EXPECT_EQ(open_blob(blob).encoding(), KallsymsEncoding::base_relative);
}

TEST(Kallsyms, RefusesTablesInWhichTheKnownSymbolIsElsewhere) {
  const KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  EXPECT_THAT(failure_of(blob, {"_stext", VirtAddr{kStext + 0x1000}}),
              HasSubstr("no way of reading kallsyms' 6 symbols gives _stext its address 0xffffffff81001000"));
  EXPECT_THAT(failure_of(blob, {"not_there", VirtAddr{kStext}}), HasSubstr("gives not_there its address"));
}

TEST(Kallsyms, RefusesAbsurdCounts) {
  KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  for (const uint32_t count : {0U, (1U << 24) + 1, 0x80000000U, 0xffffffffU}) {
    test::put<uint32_t>(blob.bytes, blob.tables.num_syms - blob.start, count);
    EXPECT_THAT(failure_of(blob), HasSubstr("no sensible number of symbols")) << count;
  }
}

TEST(Kallsyms, RefusesACountBeyondTheNames) {
  KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  test::put<uint32_t>(blob.bytes, blob.tables.num_syms - blob.start, 7);
  EXPECT_THAT(failure_of(blob), HasSubstr("end early"));
}

TEST(Kallsyms, GivesWhatItReadBeforeTheNamesWereCut) {
  const KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  size_t size = blob.bytes.size();
  const VirtReader reader = [&](VirtAddr at, std::span<std::byte> out) {
    return KallsymsBlob::reader_of(blob.start, std::span(blob.bytes).first(size))(at, out);
  };
  const Kallsyms kallsyms(reader, blob.tables, ByteOrder::little, 8, std::span(&kKnown, 1));
  size -= 2;  // memory that has changed since
  std::vector<std::string> seen;
  EXPECT_THROW(kallsyms.for_each([&](const KallsymsSymbol& symbol) { seen.push_back(symbol.name); }),
               FormatError);
  EXPECT_EQ(seen.size(), 5U);
}

TEST(Kallsyms, RefusesTokensThatDoNotEnd) {
  KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  const size_t from = blob.tables.token_table - blob.start;
  std::fill(blob.bytes.begin() + static_cast<ptrdiff_t>(from), blob.bytes.end(), std::byte{'x'});
  EXPECT_THAT(failure_of(blob), HasSubstr("does not end"));
}

TEST(Kallsyms, RefusesATokenIndexBeyondTheTable) {
  KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  test::put<uint16_t>(blob.bytes, blob.tables.token_index - blob.start + 2 * 'x', 0xffff);
  EXPECT_THAT(failure_of(blob), HasSubstr("token 120 does not end"));
}

TEST(Kallsyms, RefusesTablesThatCannotBeRead) {
  const KallsymsBlob good = build_kallsyms(some_symbols(), {});
  const VirtAddr nowhere{0x1000};
  KallsymsBlob blob = good;
  blob.tables.num_syms = nowhere;
  EXPECT_THAT(failure_of(blob), HasSubstr("kallsyms_num_syms cannot be read"));
  blob = good;
  blob.tables.relative_base = nowhere;
  EXPECT_THAT(failure_of(blob), HasSubstr("kallsyms_relative_base cannot be read"));
  blob = good;
  blob.tables.token_index = nowhere;
  EXPECT_THAT(failure_of(blob), HasSubstr("kallsyms_token_index cannot be read"));
  blob = good;
  blob.tables.token_table = nowhere;
  EXPECT_THAT(failure_of(blob), HasSubstr("does not end"));
  blob = good;
  blob.tables.names = nowhere;
  EXPECT_THAT(failure_of(blob), HasSubstr("end early"));
  blob = good;
  blob.tables.offsets = nowhere;
  EXPECT_THAT(failure_of(blob), HasSubstr("no way of reading"));
  blob = good;
  blob.tables.offsets.reset();
  EXPECT_THAT(failure_of(blob), HasSubstr("no way of reading"));
}

TEST(Kallsyms, TakesAnyOfSeveralKnownSymbols) {
  const KallsymsBlob blob = build_kallsyms(some_symbols(), {});
  const std::array<Kallsyms::Known, 2> known = {Kallsyms::Known{"_stext", VirtAddr{kStext + 0x1000}},
                                                {"_end", VirtAddr{0xffffffff83000000}}};
  const Kallsyms kallsyms(blob.reader(), blob.tables, ByteOrder::little, 8, known);
  EXPECT_EQ(kallsyms.encoding(), KallsymsEncoding::base_relative);
}

// Enough symbols for `blocks` whole blocks and a part of one more.
std::vector<Symbol> many_symbols(size_t blocks) {
  std::vector<Symbol> symbols = some_symbols();
  for (uint64_t i = 0; i < blocks * 256; ++i)
    symbols.push_back({"generated_" + std::to_string(i), 't', kStext + 16 + i * 16});
  return symbols;
}

// What is known from markers: each that a kernel can have, and where.
const std::array kMarked = {KallsymsShape{.marker_size = 4}, KallsymsShape{.marker_size = 8},
                            KallsymsShape{.marker_size = 4, .seqs = true},
                            KallsymsShape{.order = ByteOrder::big, .marker_size = 4}};

TEST(KallsymsMarkers, KeepDamageInItsBlock) {
  const auto symbols = many_symbols(9);
  for (const KallsymsShape& shape : kMarked) {
    const KallsymsBlob good = build_kallsyms(symbols, shape);
    EXPECT_EQ(open_blob(good, shape).damaged(), 0U);
    expect_symbols(open_blob(good, shape), symbols);
    // Blocks hold about 3 KiB of names: one far behind _stext's own loses or wins a name.
    KallsymsBlob blob = good;
    const size_t at = blob.tables.names - blob.start + 10000;
    for (size_t i = 0; i < 32; ++i) blob.bytes[at + i] = std::byte{1};
    const Kallsyms kallsyms = open_blob(blob, shape);
    EXPECT_EQ(kallsyms.damaged(), 256U);
    size_t right = 0;
    kallsyms.for_each([&](const KallsymsSymbol& symbol) {
      right += std::any_of(symbols.begin(), symbols.end(),
                           [&](const Symbol& s) {
                             return s.name == symbol.name && symbol.address == VirtAddr{s.address};
                           })
                   ? 1
                   : 0;
    });
    EXPECT_EQ(right, symbols.size() - 256);
  }
}

TEST(KallsymsMarkers, ADamagedMarkerCostsTheBlocksOnItsSides) {
  const auto symbols = many_symbols(9);
  const KallsymsShape shape{.marker_size = 4};
  for (const uint32_t value : {0U, 1U, 9000U, 0xffffffffU}) {
    KallsymsBlob blob = build_kallsyms(symbols, shape);
    test::put<uint32_t>(blob.bytes, blob.markers - blob.start + 5 * 4, value);
    EXPECT_EQ(open_blob(blob, shape).damaged(), 512U) << value;
  }
}

TEST(KallsymsMarkers, NamesThatAreNotThereCostTheirBlocksOnly) {
  const auto symbols = many_symbols(40);
  const KallsymsShape shape{.marker_size = 4};
  const KallsymsBlob blob = build_kallsyms(symbols, shape);
  const VirtAddr hole = blob.tables.names + 40000;
  const VirtReader reader = [&](VirtAddr at, std::span<std::byte> out) -> size_t {
    if (at >= hole && at < hole + 4096) return 0;
    const size_t most = at < hole ? std::min<size_t>(out.size(), hole - at) : out.size();
    return blob.reader()(at, out.first(most));
  };
  const Kallsyms kallsyms(reader, blob.tables, shape.order, 8, std::span(&kKnown, 1));
  EXPECT_GE(kallsyms.damaged(), 256U);
  EXPECT_LE(kallsyms.damaged(), 3 * 256U);
  EXPECT_EQ(names_of(kallsyms).size(), symbols.size() - kallsyms.damaged());
}

TEST(KallsymsMarkers, AreNotNeeded) {
  const auto symbols = many_symbols(3);
  const KallsymsShape shape{.marker_size = 4};
  KallsymsBlob blob = build_kallsyms(symbols, shape);
  test::put<uint32_t>(blob.bytes, blob.markers - blob.start, 77);  // the first must be 0
  expect_symbols(open_blob(blob, shape), symbols);
}

TEST(Kallsyms, LeavesOutAddressesThatDoNotFitTheirNeighbours) {
  const auto symbols = many_symbols(1);
  const KallsymsBlob good = build_kallsyms(symbols, {});
  const size_t entry = *good.tables.offsets - good.start + 4 * 100;
  const std::string name = names_of(open_blob(good)).at(100);
  for (const uint32_t offset : {0U, 1U, 0x00ffffffU, 0xffffffffU}) {
    KallsymsBlob blob = good;
    test::put<uint32_t>(blob.bytes, entry, offset);
    const Kallsyms kallsyms = open_blob(blob);
    const std::vector<std::string> all = names_of(kallsyms);
    for (size_t i = 95; i < 106; ++i) {
      const std::string_view wanted = all.at(i);
      EXPECT_EQ(kallsyms.find(std::span(&wanted, 1)).size(), wanted == name ? 0U : 1U) << wanted;
    }
  }
}

TEST(Kallsyms, SurvivesTheLossOfAnyOneByte) {
  const KallsymsBlob good = build_kallsyms(some_symbols(), {});
  for (size_t at = 0; at < good.bytes.size(); ++at) {
    KallsymsBlob blob = good;
    blob.bytes[at] ^= std::byte{0xff};
    try {
      names_of(open_blob(blob));
    } catch (const FormatError&) {
      continue;  // refusing is fine
    }
  }
}

}  // namespace
}  // namespace kvista::decode
