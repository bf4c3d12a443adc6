// Symbol tables other than the kernel's own: what the table in memory decides, /proc/kallsyms and a file that
// the user gives decide as well; and which tables are not trusted.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "images/vmlinux_builder.h"
#include "matrix/rows.h"
#include "matrix/subject.h"
#include "unit/failure.h"

namespace kvista::test {
namespace {

using machine::Candidate;
using machine::FactId;
using machine::Source;
using machine::Verdict;
using ::testing::HasSubstr;

// Lines that take the kernel's own table away, and give another one.
const char* instead(Source table) {
  return table == Source::symbol_file
             ? "symbols none\nsymbols file\n"
             : "symbols none\nsystem omit release build_id online crashkernel\n"
               "segments kcore text=no vmalloc=no modules=no vmemmap=no ram_vaddr=no\n";
}

template <typename Check>
void for_each_variable(Check check) {
  size_t ran = 0;
  for (const Row& row : rows()) {
    if (row.source != Source::kallsyms) continue;
    for (const Source table : {Source::proc_kallsyms, Source::symbol_file}) {
      SCOPED_TRACE(fmt::format("{} from {}", machine::info_of(row.fact).name, machine::describe(table)));
      check(row, table);
      ++ran;
    }
  }
  EXPECT_GE(ran, 24U);
}

TEST(SymbolTables, EachDecidesAlone) {
  for_each_variable([](const Row& row, Source table) {
    Subject subject(std::string(kCommon) + row.base + row.only + instead(table));
    const machine::Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact) + subject.warnings());
    EXPECT_EQ(subject.value(row.fact), subject.truth(row.fact));
    EXPECT_EQ(fact.source, table);
    EXPECT_EQ(fact.verified, row.verified);
  });
}

TEST(SymbolTables, TogetherAreOneWitness) {
  for_each_variable([](const Row& row, Source table) {
    if (table != Source::symbol_file) return;
    Subject subject(std::string(kCommon) + row.base + row.only + "symbols file\n");
    const machine::Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact) + subject.warnings());
    EXPECT_EQ(subject.value(row.fact), subject.truth(row.fact));
    const Candidate* second = subject.candidate(row.fact, table);
    ASSERT_NE(second, nullptr);
    EXPECT_EQ(second->verdict, Verdict::agrees);
    EXPECT_EQ(fact.verified, row.verified) << "two tables that lead to one word confirm each other";
  });
}

TEST(SymbolTables, LiesAlone) {
  for_each_variable([](const Row& row, Source table) {
    Subject subject(std::string(kCommon) + row.base + row.only + instead(table) + row.lie);
    const machine::Fact& fact = subject.fact(row.fact);
    SCOPED_TRACE(explain(fact) + subject.warnings());
    const Candidate* own = subject.candidate(row.fact, table);
    ASSERT_NE(own, nullptr);
    ASSERT_TRUE(own->value);
    EXPECT_EQ(shown(*own->value, row.fact), row.says);
    EXPECT_EQ(fact.value.has_value(), row.alone == LieAlone::believed);
    EXPECT_FALSE(fact.verified);
  });
}

// A table that contradicts the others is a disagreement like any other.
TEST(SymbolTables, ContradictionsAreSaid) {
  Subject subject("symbols none\nsymbols file\nsymbols address _text=0xffffffff88c00000\n");
  EXPECT_EQ(subject.value(FactId::kaslr_offset), subject.truth(FactId::kaslr_offset));
  EXPECT_THAT(subject.warnings(), HasSubstr("kaslr_offset: symbol file says 0x7c00000, but VMCOREINFO says"));
}

TEST(SymbolTables, HiddenAddressesAreSaid) {
  Subject subject("segments kcore\nsystem set kallsyms=hidden\n");
  const Candidate* hidden = subject.candidate(FactId::page_offset, Source::proc_kallsyms);
  ASSERT_NE(hidden, nullptr);
  EXPECT_FALSE(hidden->value);
  EXPECT_EQ(hidden->detail,
            "/proc/kallsyms shows no addresses: run kvista as root, and where kernel.kptr_restrict is 2, set "
            "it to 1");
}

TEST(SymbolTables, ALiveTableMustBeTheNotes) {
  Subject subject("segments kcore\nsymbols address _stext=0xffffffff88a00100\n");
  EXPECT_THAT(subject.candidate(FactId::page_offset, Source::proc_kallsyms)->detail,
              HasSubstr("of another kernel: "));
}

// Files by hand: what they say, and why they are not used; empty: they are.
class GivenTable : public ::testing::Test {
 protected:
  std::string refusal(const std::string& contents, const std::string& more = "") {
    machine::Options options;
    options.symbols_file = directory_.write("table", contents);
    Subject subject(more, std::move(options));
    const std::string warnings = subject.warnings();
    const Candidate* said = subject.candidate(FactId::page_offset, Source::symbol_file);
    EXPECT_NE(said, nullptr);
    EXPECT_EQ(said->value.has_value(), warnings.empty()) << warnings << said->detail;
    return warnings;
  }
  // The symbols of the kernel that Subject("") makes, moved.
  static std::string table(uint64_t shift, const std::string& only = "") {
    const TestImage image("");
    std::string text;
    for (const Symbol& symbol : image.kernel().table_symbols())
      if (only.empty() || only.find(" " + symbol.name + " ") != std::string::npos)
        text += fmt::format("{:x} {} {}\n", symbol.address + shift, symbol.type, symbol.name);
    return text;
  }
  TemporaryDirectory directory_;
};

TEST_F(GivenTable, IsMovedByKaslr) {
  EXPECT_EQ(refusal(table(0)), "");
  EXPECT_EQ(refusal(table(0 - uint64_t{0x7a00000})), "");
}

TEST_F(GivenTable, IsRefusedWhereKaslrCannotBeWhy) {
  EXPECT_THAT(refusal(table(0x1000)), HasSubstr("table is not used: the symbols are of another kernel: "));
}

TEST_F(GivenTable, IsRefusedWhereOneSymbolIsElsewhere) {
  std::string text = table(0x200000, " page_offset_base init_uts_ns swapper_pg_dir ");
  EXPECT_EQ(refusal(text), "");
  text += table(0x400000, " _stext ");
  EXPECT_THAT(refusal(text), HasSubstr("of another kernel: "));
}

TEST_F(GivenTable, NeedsTwoSymbolsOfTheNote) {
  EXPECT_THAT(refusal(table(0, " page_offset_base _stext ")), HasSubstr("1 of them is in VMCOREINFO, too"));
  EXPECT_THAT(refusal(table(0, " page_offset_base ")), HasSubstr("0 of them are in VMCOREINFO, too"));
}

TEST_F(GivenTable, NeedsAWordInMemory) {
  EXPECT_THAT(refusal(table(0, " page_offset_base _stext swapper_pg_dir ")),
              HasSubstr("neither linux_banner nor init_uts_ns can be read"));
  EXPECT_EQ(refusal(table(0, " page_offset_base _stext swapper_pg_dir linux_banner ")), "");
  // What stands where the table says the banner is.
  const std::string elsewhere =
      table(0, " page_offset_base _stext init_uts_ns ") + table(8, " linux_banner ");
  EXPECT_THAT(refusal(elsewhere), HasSubstr("by them memory shows no kernel"));
}

TEST_F(GivenTable, OfAVmlinuxIsProvenByItsBuildId) {
  const TestImage image("");
  const auto symbols = image.kernel().table_symbols();
  const auto text = [&](const std::string& build_id) {
    const auto bytes = vmlinux_bytes(symbols, {.build_id = build_id});
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(refusal(text(image.kernel().description().build_id)), "");
  EXPECT_EQ(refusal(text("")), "") << "without one the banner proves it";
  EXPECT_THAT(refusal(text("ffee")), HasSubstr("its build-id is ffee, VMCOREINFO's is 0123456789abcdef"));
  // Without another symbol of the note.
  const std::vector<Symbol> two = {{"_stext", 'T', image.kernel().symbol("_stext")},
                                   {"page_offset_base", 'D', image.kernel().symbol("page_offset_base")}};
  const auto few = vmlinux_bytes(two, {.build_id = image.kernel().description().build_id});
  EXPECT_EQ(refusal({reinterpret_cast<const char*>(few.data()), few.size()}), "");
}

TEST_F(GivenTable, ANameWithTwoAddressesIsAmbiguous) {
  machine::Options options;
  options.symbols_file = directory_.write(
      "table", table(0, " page_offset_base _stext init_uts_ns ") + table(0x10, " page_offset_base "));
  Subject subject("symbols omit page_offset_base\n", std::move(options));
  EXPECT_THAT(subject.candidate(FactId::page_offset, Source::symbol_file)->detail, HasSubstr("ambiguous: "));
  EXPECT_EQ(subject.value(FactId::page_offset), subject.truth(FactId::page_offset));
}

TEST_F(GivenTable, WithoutSymbolsIsAnError) {
  for (const char* nothing : {"", "no table\n", "ffffffffffffffff B The real System.map is in the package\n"})
    EXPECT_THAT(failure_of([&] { refusal(nothing); }), HasSubstr("table: holds no symbols: expected"))
        << nothing;
  EXPECT_THAT(failure_of([&] { refusal("0 T _stext\n0 T _text\n"); }), HasSubstr("all addresses are 0"));
  EXPECT_THAT(failure_of([&] {
                refusal(
                    "\x7f"
                    "ELF");
              }),
              HasSubstr("a damaged ELF file: "));
}

}  // namespace
}  // namespace kvista::test
