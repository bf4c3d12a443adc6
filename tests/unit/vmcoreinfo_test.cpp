#include "kvista/vmcoreinfo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvista::vmcoreinfo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Debian 11's 5.10: SYMBOL(mem_section) is a direct-map pointer, phys_base is negative.
constexpr const char* kNote510 =
    "OSRELEASE=5.10.0-32-cloud-amd64\n"
    "BUILD-ID=e0c94673e97d58a386e99a20572aa7d597d5aa5c\n"
    "PAGESIZE=4096\n"
    "SYMBOL(init_uts_ns)=ffffffff9c613700\n"
    "SYMBOL(swapper_pg_dir)=ffffffff9c60a000\n"
    "SYMBOL(_stext)=ffffffff9b000000\n"
    "SYMBOL(mem_section)=ffff8acd7ffdb000\n"
    "LENGTH(mem_section)=2048\n"
    "SIZE(mem_section)=16\n"
    "OFFSET(mem_section.section_mem_map)=0\n"
    "NUMBER(SECTION_SIZE_BITS)=27\n"
    "SIZE(page)=64\n"
    "OFFSET(page._mapcount)=48\n"
    "LENGTH(zone.free_area)=11\n"
    "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
    "NUMBER(phys_base)=-329252864\n"
    "SYMBOL(init_top_pgt)=ffffffff9c60a000\n"
    "NUMBER(pgtable_l5_enabled)=0\n"
    "KERNELOFFSET=1a000000\n"
    "NUMBER(KERNEL_IMAGE_SIZE)=1073741824\n"
    "NUMBER(sme_mask)=0\n";

// Debian 12's 6.1: kallsyms, phys_base positive.
constexpr const char* kNote61 =
    "OSRELEASE=6.1.0-56-cloud-amd64\n"
    "BUILD-ID=3b43fad5034874490492495d552c0af6a5fab235\n"
    "PAGESIZE=4096\n"
    "OFFSET(uts_namespace.name)=0\n"
    "SYMBOL(_stext)=ffffffff88a00000\n"
    "SYMBOL(mem_section)=ff33bd9a7fd3e000\n"
    "NUMBER(HUGETLB_PAGE_DTOR)=2\n"
    "SYMBOL(kallsyms_names)=ffffffff89b75590\n"
    "SYMBOL(kallsyms_relative_base)=ffffffff89b75580\n"
    "NUMBER(phys_base)=138412032\n"
    "KERNELOFFSET=7a00000\n";

// 6.12: the page type moved into the upper byte.
constexpr const char* kNote612 =
    "OSRELEASE=6.12.107+deb13-cloud-amd64\n"
    "PAGESIZE=4096\n"
    "NUMBER(VMALLOC_START)=0xff70e642c0000000\n"
    "SYMBOL(vmemmap)=ffa4cb1280000000\n"
    "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456\n"
    "NUMBER(pgtable_l5_enabled)=1\n"
    "KERNELOFFSET=22400000\n";

// 7.3: compound_info, hexadecimal with a prefix, no kallsyms_relative_base.
constexpr const char* kNote73 =
    "OSRELEASE=7.3.4+deb13-cloud-amd64\n"
    "BUILD-ID=1fe9968467f2755292a45806719b9bba136b0cc8\n"
    "PAGESIZE=4096\n"
    "NUMBER(VMALLOC_START)=0xff70e642c0000000\n"
    "SYMBOL(vmemmap)=ffa4cb1280000000\n"
    "OFFSET(page.compound_info)=8\n"
    "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376\n"
    "NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)=-150994944\n"
    "SYMBOL(kallsyms_offsets)=ffffffffa4ab19e8\n"
    "NUMBER(phys_base)=-260046848\n"
    "KERNELOFFSET=22400000\n";

TEST(VmcoreInfo, ReadsTheNoteOfLinux510) {
  const VmcoreInfo note(kNote510);
  EXPECT_THAT(note.warnings(), IsEmpty());
  EXPECT_EQ(note.entries().size(), 21U);
  EXPECT_EQ(note.text_of("OSRELEASE"), "5.10.0-32-cloud-amd64");
  EXPECT_EQ(note.decimal("PAGESIZE"), 4096U);
  EXPECT_EQ(note.symbol("mem_section"), 0xffff8acd7ffdb000U);
  EXPECT_EQ(note.length("mem_section"), 2048U);
  EXPECT_EQ(note.size("mem_section"), 16U);
  EXPECT_EQ(note.offset("mem_section.section_mem_map"), 0U);
  EXPECT_EQ(note.number("phys_base"), static_cast<uint64_t>(int64_t{-329252864}));
  EXPECT_EQ(note.number("PAGE_BUDDY_MAPCOUNT_VALUE"), static_cast<uint64_t>(int64_t{-129}));
  EXPECT_EQ(note.hex("KERNELOFFSET"), 0x1a000000U);
  EXPECT_EQ(note.number("pgtable_l5_enabled"), 0U);
}

TEST(VmcoreInfo, ReadsTheNoteOfLinux61) {
  const VmcoreInfo note(kNote61);
  EXPECT_THAT(note.warnings(), IsEmpty());
  EXPECT_EQ(note.offset("uts_namespace.name"), 0U);
  EXPECT_EQ(note.symbol("kallsyms_relative_base"), 0xffffffff89b75580U);
  EXPECT_EQ(note.number("phys_base"), 138412032U);
  EXPECT_EQ(note.hex("KERNELOFFSET"), 0x7a00000U);
}

TEST(VmcoreInfo, ReadsTheNoteOfLinux612) {
  const VmcoreInfo note(kNote612);
  EXPECT_THAT(note.warnings(), IsEmpty());
  EXPECT_EQ(note.number("PAGE_BUDDY_MAPCOUNT_VALUE"), static_cast<uint64_t>(int64_t{-268435456}));
  EXPECT_EQ(static_cast<uint32_t>(*note.number("PAGE_BUDDY_MAPCOUNT_VALUE")), 0xf0000000U);
}

TEST(VmcoreInfo, ReadsTheNoteOfLinux73) {
  const VmcoreInfo note(kNote73);
  EXPECT_THAT(note.warnings(), IsEmpty());
  EXPECT_EQ(note.number("VMALLOC_START"), 0xff70e642c0000000U);
  EXPECT_EQ(note.symbol("vmemmap"), 0xffa4cb1280000000U);
  EXPECT_EQ(note.offset("page.compound_info"), 8U);
  EXPECT_EQ(note.symbol("kallsyms_relative_base"), std::nullopt);
}

TEST(VmcoreInfo, ReadsSignedDecimalsAsTheKernelWritesUnsignedLongs) {
  const VmcoreInfo note("NUMBER(page_offset_base)=-50754020452597760\nNUMBER(phys_base)=-329252864\n");
  EXPECT_EQ(note.number("page_offset_base"), 0xff4baf7cc0000000U);
  EXPECT_EQ(note.number("phys_base"), 0xffffffffec600000U);
  EXPECT_EQ(note.entries()[0].value, "-50754020452597760") << "the text stays as it was";
}

TEST(VmcoreInfo, ReadsHexadecimalWithAndWithoutPrefix) {
  const VmcoreInfo note(
      "SYMBOL(a)=ffffffff81000000\nSYMBOL(b)=0xffffffff81000000\nNUMBER(c)=0x10\nNUMBER(d)=10\nKERNELOFFSET="
      "0x10\n");
  EXPECT_EQ(note.symbol("a"), 0xffffffff81000000U);
  EXPECT_EQ(note.symbol("b"), 0xffffffff81000000U);
  EXPECT_EQ(note.number("c"), 16U);
  EXPECT_EQ(note.number("d"), 10U);
  EXPECT_EQ(note.hex("KERNELOFFSET"), 16U);
}

TEST(VmcoreInfo, TellsItsKindsApart) {
  const VmcoreInfo note("SYMBOL(x)=1\nSIZE(x)=2\nOFFSET(x)=3\nLENGTH(x)=4\nNUMBER(x)=5\nx=6\n");
  EXPECT_EQ(note.symbol("x"), 1U);
  EXPECT_EQ(note.size("x"), 2U);
  EXPECT_EQ(note.offset("x"), 3U);
  EXPECT_EQ(note.length("x"), 4U);
  EXPECT_EQ(note.number("x"), 5U);
  EXPECT_EQ(note.decimal("x"), 6U);
  EXPECT_EQ(note.entries().size(), 6U);
}

TEST(VmcoreInfo, TakesUnknownFormsAsText) {
  const VmcoreInfo note("CONFIG_X86_64=y\nCOUNT(x)=3\nNUMBER(x=4\nNUMBERx)=5\nSYMBOL=6\n");
  EXPECT_THAT(note.warnings(), IsEmpty());
  for (const Entry& entry : note.entries()) EXPECT_EQ(entry.kind, Kind::text) << entry.name;
  EXPECT_EQ(note.text_of("CONFIG_X86_64"), "y");
  EXPECT_EQ(note.text_of("COUNT(x)"), "3");
}

TEST(VmcoreInfo, KeepsEqualsSignsWithinValues) {
  EXPECT_EQ(VmcoreInfo("CMDLINE=root=/dev/vda quiet\n").text_of("CMDLINE"), "root=/dev/vda quiet");
}

TEST(VmcoreInfo, LetsTheLaterOfTwoLinesWin) {
  const VmcoreInfo note("NUMBER(x)=1\nPAGESIZE=4096\nNUMBER(x)=2\n");
  EXPECT_EQ(note.number("x"), 2U);
  EXPECT_EQ(note.entries().size(), 2U);
}

TEST(VmcoreInfo, LeavesOutAGarbageBuildIdAndSaysSo) {
  const VmcoreInfo note("OSRELEASE=6.12.0-rc1\nBUILD-ID=\x01\x80\xffgarbage\nPAGESIZE=4096\n");
  EXPECT_EQ(note.text_of("BUILD-ID"), std::nullopt);
  EXPECT_EQ(note.decimal("PAGESIZE"), 4096U);
  EXPECT_THAT(note.warnings(), ElementsAre("VMCOREINFO line 2: the value of BUILD-ID is garbage"));
}

TEST(VmcoreInfo, LeavesOutALastLineThatIsCutOff) {
  const VmcoreInfo note("PAGESIZE=4096\nSYMBOL(_stext)=ffffffff9b00");
  EXPECT_EQ(note.decimal("PAGESIZE"), 4096U);
  EXPECT_EQ(note.symbol("_stext"), std::nullopt) << "digits may be missing";
  EXPECT_THAT(note.warnings(), ElementsAre(HasSubstr("cut off in line 2")));
}

TEST(VmcoreInfo, EndsAtTheFirstNul) {
  const VmcoreInfo padded(std::string("PAGESIZE=4096\n\0\0\0\0", 18));
  EXPECT_EQ(padded.decimal("PAGESIZE"), 4096U);
  EXPECT_THAT(padded.warnings(), IsEmpty());
  EXPECT_EQ(padded.text(), "PAGESIZE=4096\n");
  const VmcoreInfo within(std::string("A=1\nB=2\0C=3\n", 12));
  EXPECT_EQ(within.decimal("A"), 1U);
  EXPECT_EQ(within.text_of("B"), std::nullopt);
  EXPECT_EQ(within.text_of("C"), std::nullopt);
  EXPECT_EQ(within.warnings().size(), 1U);
}

TEST(VmcoreInfo, IsEmptyWhereNothingIsAnEntry) {
  for (const char* text : {"", "\n\n\n", "no entry\n", "=1\n"}) EXPECT_TRUE(VmcoreInfo(text).empty()) << text;
  EXPECT_THAT(VmcoreInfo("no entry\n").warnings(),
              ElementsAre("VMCOREINFO line 1 is no key=value line: left out"));
  EXPECT_THAT(VmcoreInfo("\n\n").warnings(), IsEmpty());
}

TEST(VmcoreInfo, WarnsOfNumbersThatAreNone) {
  for (const char* value : {"", "x", "12x", "0x", "--1", "- 1", "+1", "1 ", " 1", "18446744073709551616",
                            "-9223372036854775809", "0x10000000000000000"}) {
    const VmcoreInfo note(std::string("NUMBER(x)=") + value + "\n");
    EXPECT_EQ(note.number("x"), std::nullopt) << value;
    EXPECT_EQ(note.warnings().size(), 1U) << value;
  }
}

TEST(VmcoreInfo, ReadsTheLargestAndTheLeastNumber) {
  EXPECT_EQ(parse_number("18446744073709551615", false), UINT64_MAX);
  EXPECT_EQ(parse_number("-9223372036854775808", false), uint64_t{1} << 63);
  EXPECT_EQ(parse_number("ffffffffffffffff", true), UINT64_MAX);
  EXPECT_EQ(parse_number("ff", false), std::nullopt);
  EXPECT_EQ(parse_number("-0", false), 0U);
}

TEST(VmcoreInfo, KeepsItsWarningsFewHoweverMuchGarbageItIsGiven) {
  std::string garbage;
  for (int i = 0; i < 100000; ++i) garbage += "garbage\nNUMBER(x)=y\nBUILD-ID=\x01\n";
  const VmcoreInfo note(garbage);
  EXPECT_LE(note.warnings().size(), 20U);
  EXPECT_GE(note.warnings().size(), 2U);
}

TEST(VmcoreInfo, ReadsAGiantNote) {
  std::string text;
  constexpr uint64_t kLines = 100000;
  for (uint64_t i = 0; i < kLines; ++i)
    text += "NUMBER(n" + std::to_string(i) + ")=" + std::to_string(i) + "\n";
  const VmcoreInfo note(text);
  EXPECT_EQ(note.entries().size(), kLines);
  EXPECT_EQ(note.number("n99999"), 99999U);
  const VmcoreInfo one_line("KEY=" + std::string(1 << 20, 'x') + "\n");
  EXPECT_EQ(one_line.text_of("KEY")->size(), size_t{1} << 20);
}

}  // namespace
}  // namespace kvista::vmcoreinfo
