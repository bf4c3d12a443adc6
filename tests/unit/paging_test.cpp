#include "arch/x86_64/paging.h"

#include <gtest/gtest.h>

#include "arch/x86_64/layout.h"

namespace kvista::arch::x86_64 {
namespace {

const Paging kFour = make_paging(4);
const Paging kFive = make_paging(5);
constexpr uint64_t kTableFlags = 0x067;  // PRESENT RW USER ACCESSED DIRTY
constexpr uint64_t kNoExecute = uint64_t{1} << 63;

TEST(Paging, AnEmptyEntryMapsNothing) {
  for (unsigned level = 1; level <= 5; ++level)
    EXPECT_EQ(decode_entry(0, level, kFive).kind, EntryKind::none);
}

TEST(Paging, APresentEntryAboveTheLowestLevelPointsToATable) {
  for (unsigned level = 2; level <= 5; ++level) {
    const Entry entry = decode_entry(0x12345000 | kTableFlags | kNoExecute, level, kFive);
    EXPECT_EQ(entry.kind, EntryKind::table) << "level " << level;
    EXPECT_EQ(entry.target, PhysAddr{0x12345000}) << "level " << level;
  }
}

TEST(Paging, APresentEntryOfTheLowestLevelMapsAPage) {
  const Entry entry = decode_entry(0x000f'ffff'ffff'f163 | kNoExecute, 1, kFour);
  EXPECT_EQ(entry.kind, EntryKind::leaf);
  EXPECT_EQ(entry.target, PhysAddr{0x000f'ffff'ffff'f000});
}

TEST(Paging, BitSevenOfALowestEntryIsPatAndNotPageSize) {
  EXPECT_EQ(decode_entry(0x12345000 | 0x1e3, 1, kFour).target, PhysAddr{0x12345000});
}

TEST(Paging, LargePagesDropTheBitsBelowTheirSize) {
  // Bit 12 of a large page is PAT.
  const Entry pmd = decode_entry(0x4020'1000 | 0x1e3, 2, kFour);
  EXPECT_EQ(pmd.kind, EntryKind::leaf);
  EXPECT_EQ(pmd.target, PhysAddr{0x4020'0000});
  const Entry pud = decode_entry(0x1'4000'1000 | 0x1e3, 3, kFour);
  EXPECT_EQ(pud.kind, EntryKind::leaf);
  EXPECT_EQ(pud.target, PhysAddr{0x1'4000'0000});
}

TEST(Paging, TopLevelsHaveNoLargePages) {
  EXPECT_EQ(decode_entry(0x12345000 | 0x1e3, 4, kFour).kind, EntryKind::table);
  EXPECT_EQ(decode_entry(0x12345000 | 0x1e3, 5, kFive).kind, EntryKind::table);
  EXPECT_EQ(decode_entry(0x12345000 | 0x100, 4, kFour).kind, EntryKind::none) << "not present";
}

TEST(Paging, TheEncryptionMaskIsNoPartOfAnAddress) {
  const uint64_t mask = uint64_t{1} << 47;
  const Paging sme = make_paging(4, mask);
  EXPECT_EQ(decode_entry(0x12345000 | mask | kTableFlags, 3, sme).target, PhysAddr{0x12345000});
  EXPECT_EQ(decode_entry(0x12345000 | mask | 0x163, 1, sme).target, PhysAddr{0x12345000});
  EXPECT_EQ(decode_entry(0x12345000 | mask | 0x163, 1, kFour).target, PhysAddr{0x12345000 | mask});
}

// Such an entry holds the inverted frame number: __pte_needs_invert().
TEST(Paging, ProtNoneEntriesHoldTheirFrameInverted) {
  const uint64_t frame = 0x12345000;
  const uint64_t inverted = ~frame & 0x000ffffffffff000;
  const Entry pte = decode_entry(inverted | 0x100, 1, kFour);
  EXPECT_EQ(pte.kind, EntryKind::prot_none);
  EXPECT_EQ(pte.target, PhysAddr{frame});
  const uint64_t large = ~uint64_t{0x40200000} & 0x000fffffffe00000;
  const Entry pmd = decode_entry(large | 0x180, 2, kFour);
  EXPECT_EQ(pmd.kind, EntryKind::prot_none);
  EXPECT_EQ(pmd.target, PhysAddr{0x40200000});
}

TEST(Paging, ProtNoneEntriesLoseTheEncryptionMaskAfterInversion) {
  const Paging sme = make_paging(4, uint64_t{1} << 47);
  const uint64_t inverted = ~uint64_t{0x12345000} & 0x000ffffffffff000;
  EXPECT_EQ(decode_entry(inverted | 0x100, 1, sme).target, PhysAddr{0x12345000});
}

// __swp_entry(): type in bits 59-63, the offset inverted in bits 9-58.
uint64_t swap_entry(uint64_t type, uint64_t offset) {
  return (~offset << 14 >> 5) | (type << 59);
}

TEST(Paging, SwapEntriesGiveTypeAndOffset) {
  for (const uint64_t type : {0U, 1U, 29U, 31U}) {
    for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{0x123456}, (uint64_t{1} << 50) - 1}) {
      const uint64_t raw = swap_entry(type, offset);
      if (raw == 0) continue;  // type 0 with all offset bits set is the empty entry
      const Entry entry = decode_entry(raw, 1, kFour);
      EXPECT_EQ(entry.kind, EntryKind::swap) << type << ' ' << offset;
      EXPECT_EQ(entry.swap_type, type);
      EXPECT_EQ(entry.swap_offset, offset);
    }
  }
}

TEST(Paging, SwapFlagsDoNotDisturbTheFields) {
  // Soft-dirty, exclusive and uffd-wp bits are among bits 1 to 7.
  const Entry entry = decode_entry(swap_entry(30, 0xabcdef) | 0xfe, 2, kFour);
  EXPECT_EQ(entry.kind, EntryKind::swap);
  EXPECT_EQ(entry.swap_type, 30U);
  EXPECT_EQ(entry.swap_offset, 0xabcdefU);
}

TEST(Paging, LevelsHaveTheirSizesAndIndices) {
  EXPECT_EQ(kFive.page_shift(), 12U);
  EXPECT_EQ(kFour.address_bits(), 48U);
  EXPECT_EQ(kFive.address_bits(), 57U);
  EXPECT_EQ(kFive.entry_size(5), uint64_t{1} << 48);
  EXPECT_EQ(kFour.entry_size(2), uint64_t{2} << 20);
  EXPECT_EQ(kFour.entry_size(3), uint64_t{1} << 30);
  EXPECT_EQ(kFour.table_bytes(4), kPageSize);
  const VirtAddr address{0xff11'2233'4455'6789};
  EXPECT_EQ(kFive.index_at(address, 1), 0x156U);
  EXPECT_EQ(kFive.index_at(address, 2), 0x22U);
  EXPECT_EQ(kFive.index_at(address, 5), 0x111U);
  EXPECT_EQ(kFive.index_at(VirtAddr{UINT64_MAX}, 5), 511U);
}

TEST(Paging, NamesLevelsAsTheKernelDoes) {
  EXPECT_STREQ(kFive.level_name(5), "PGD");
  EXPECT_STREQ(kFive.level_name(4), "P4D");
  EXPECT_STREQ(kFour.level_name(4), "PGD");
  EXPECT_STREQ(kFour.level_name(3), "PUD");
  EXPECT_STREQ(kFour.level_name(2), "PMD");
  EXPECT_STREQ(kFour.level_name(1), "PTE");
}

TEST(Paging, KnowsCanonicalAddressesOfFourLevels) {
  for (const uint64_t good :
       {uint64_t{0}, uint64_t{0x7fff'ffff'ffff}, uint64_t{0xffff'8000'0000'0000}, UINT64_MAX})
    EXPECT_TRUE(kFour.is_canonical(VirtAddr{good})) << std::hex << good;
  for (const uint64_t bad :
       {uint64_t{0x8000'0000'0000}, uint64_t{0xffff'7fff'ffff'ffff}, uint64_t{0xff11'0000'0000'0000}})
    EXPECT_FALSE(kFour.is_canonical(VirtAddr{bad})) << std::hex << bad;
}

TEST(Paging, KnowsCanonicalAddressesOfFiveLevels) {
  for (const uint64_t good :
       {uint64_t{0}, uint64_t{0x00ff'ffff'ffff'ffff}, uint64_t{0xff00'0000'0000'0000}, UINT64_MAX})
    EXPECT_TRUE(kFive.is_canonical(VirtAddr{good})) << std::hex << good;
  for (const uint64_t bad :
       {uint64_t{0x0100'0000'0000'0000}, uint64_t{0xfeff'ffff'ffff'ffff}, uint64_t{1} << 63})
    EXPECT_FALSE(kFive.is_canonical(VirtAddr{bad})) << std::hex << bad;
}

TEST(Paging, SpellsFlags) {
  EXPECT_EQ(describe_flags(0x8000000000000163, 1), "PRESENT|RW|ACCESSED|DIRTY|GLOBAL|NX");
  EXPECT_EQ(describe_flags(0x1e7, 1), "PRESENT|RW|USER|ACCESSED|DIRTY|PSE|GLOBAL");
  EXPECT_EQ(describe_flags(0x100, 1), "PROTNONE");
  EXPECT_EQ(describe_flags(0x19, 1), "PRESENT|PWT|PCD");
  EXPECT_EQ(describe_flags(0, 1), "");
}

TEST(Layout, DocumentsBothNumbersOfLevels) {
  EXPECT_EQ(documented_layout(4).page_offset, VirtAddr{0xffff888000000000});
  EXPECT_EQ(documented_layout(5).page_offset, VirtAddr{0xff11000000000000});
  for (const unsigned levels : {4U, 5U}) {
    const DocumentedLayout& layout = documented_layout(levels);
    EXPECT_EQ(layout.levels, levels);
    EXPECT_LT(layout.page_offset + layout.direct_map_size, layout.vmalloc) << "areas do not overlap";
    EXPECT_LT(layout.vmalloc + layout.vmalloc_size, layout.vmemmap);
    EXPECT_TRUE(make_paging(levels).is_canonical(layout.page_offset));
  }
}

}  // namespace
}  // namespace kvista::arch::x86_64
