#include "arch/s390x/paging.h"

#include <gtest/gtest.h>

namespace kvista::arch::s390x {
namespace {

// As the kernel maps its data: present, young, dirty, readable, writable.
constexpr uint64_t kPageFlags = 0x03d;
constexpr uint64_t kInvalidPage = 0x400;
constexpr uint64_t kLargeSegment = 0xf403;  // format control, and the kernel's own bits
constexpr uint64_t kInvalid = 0x020;

uint64_t type_of(unsigned level) {
  return uint64_t{level - 2} << 2;
}
// A table that points to a whole next one.
uint64_t region(uint64_t origin, unsigned level) {
  return origin | type_of(level) | 3;
}

TEST(S390xPaging, HasTwoToFiveLevels) {
  struct Case {
    unsigned levels, bits;
  };
  for (const Case& one : {Case{2, 31}, Case{3, 42}, Case{4, 53}, Case{5, 64}}) {
    const auto paging = make_paging(one.levels);
    ASSERT_TRUE(paging);
    EXPECT_EQ(paging->levels, one.levels);
    EXPECT_EQ(paging->address_bits(), one.bits);
    EXPECT_EQ(paging->table_bytes(1), 2048U);
    for (unsigned level = 2; level <= one.levels; ++level) EXPECT_EQ(paging->table_bytes(level), 16384U);
    EXPECT_EQ(paging->entry_size(1), 4096U);
    EXPECT_EQ(paging->entry_size(2), uint64_t{1} << 20);
  }
  EXPECT_EQ(make_paging(3)->entry_size(3), uint64_t{2} << 30);
  for (const uint64_t levels : {uint64_t{0}, uint64_t{1}, uint64_t{6}, UINT64_MAX})
    EXPECT_FALSE(make_paging(levels)) << levels;
}

TEST(S390xPaging, StartsAtZero) {
  const Paging paging = *make_paging(3);
  EXPECT_TRUE(paging.is_canonical(VirtAddr{0}));
  EXPECT_TRUE(paging.is_canonical(VirtAddr{0x3ff'ffff'ffff}));
  EXPECT_FALSE(paging.is_canonical(VirtAddr{0x400'0000'0000}));
  EXPECT_FALSE(paging.is_canonical(VirtAddr{UINT64_MAX}));
  EXPECT_TRUE(make_paging(5)->is_canonical(VirtAddr{UINT64_MAX}));
}

TEST(S390xPaging, EntriesAreOfTheirTablesType) {
  const Paging paging = *make_paging(5);
  for (unsigned level = 3; level <= 5; ++level)
    for (unsigned other = 2; other <= 5; ++other)
      EXPECT_EQ(paging.decode(region(0x12344000, other), level).kind,
                other == level ? EntryKind::table : EntryKind::none)
          << level << ' ' << other;
  EXPECT_EQ(paging.decode(region(0x12344000, 4), 4).target, PhysAddr{0x12344000});
  EXPECT_EQ(paging.decode(type_of(5) | kInvalid, 5).kind, EntryKind::none) << "as the kernel clears them";
  EXPECT_EQ(paging.decode(region(0x12344000, 3) | kInvalid, 3).kind, EntryKind::none);
}

TEST(S390xPaging, ATableNeedNotBeWhole) {
  const Paging paging = *make_paging(4);
  const Entry whole = paging.decode(region(0x4000, 4), 4);
  EXPECT_TRUE(whole.has(0) && whole.has(2047));
  // Offset 1, length 2: the second and the third quarter.
  const Entry part = paging.decode(0x4000 | 1U << 6 | type_of(4) | 2, 4);
  EXPECT_FALSE(part.has(511));
  EXPECT_TRUE(part.has(512) && part.has(1535));
  EXPECT_FALSE(part.has(1536));
  // An offset behind the length leaves nothing.
  const Entry none = paging.decode(0x4000 | 3U << 6 | type_of(4) | 1, 4);
  for (unsigned i = 0; i < 2048; ++i) EXPECT_FALSE(none.has(i));
}

TEST(S390xPaging, SegmentsLeadToTablesOf2KiBOrMapMemory) {
  const Paging paging = *make_paging(3);
  const Entry table = paging.decode(0x12345800 | 1, 2);
  EXPECT_EQ(table.kind, EntryKind::table);
  EXPECT_EQ(table.target, PhysAddr{0x12345800});
  const Entry segment = paging.decode(0x12300000 | kLargeSegment, 2);
  EXPECT_EQ(segment.kind, EntryKind::leaf);
  EXPECT_EQ(segment.target, PhysAddr{0x12300000});
  const Entry region3 = paging.decode(0x1'8000'0000 | kLargeSegment | type_of(3), 3);
  EXPECT_EQ(region3.kind, EntryKind::leaf);
  EXPECT_EQ(region3.target, PhysAddr{0x1'8000'0000});
  EXPECT_EQ(paging.decode(kInvalid, 2).kind, EntryKind::none) << "as the kernel clears them";
  const Entry none = paging.decode(0x12300000 | kLargeSegment | kInvalid, 2);
  EXPECT_EQ(none.kind, EntryKind::prot_none);
  EXPECT_EQ(none.target, PhysAddr{0x12300000});
  EXPECT_EQ(paging.decode(0x12300430, 2).kind, EntryKind::swap);
  EXPECT_EQ(make_paging(4)->decode(0x12344000 | 0x400 | type_of(4) | 3, 4).kind, EntryKind::table)
      << "a region second has no format control";
}

TEST(S390xPaging, PagesAreInvalidByABitOfTheirOwn) {
  const Paging paging = *make_paging(3);
  const Entry page = paging.decode(0x12345000 | kPageFlags, 1);
  EXPECT_EQ(page.kind, EntryKind::leaf);
  EXPECT_EQ(page.target, PhysAddr{0x12345000});
  EXPECT_EQ(paging.decode(kInvalidPage, 1).kind, EntryKind::none) << "as the kernel clears them";
  EXPECT_EQ(paging.decode(0, 1).kind, EntryKind::leaf) << "all zeros map the first page";
  EXPECT_EQ(paging.decode(0x12345800 | kPageFlags, 1).kind, EntryKind::none) << "the CPU refuses bit 52";
  const Entry none = paging.decode(0x12345000 | kInvalidPage | kPageFlags, 1);
  EXPECT_EQ(none.kind, EntryKind::prot_none);
  EXPECT_EQ(none.target, PhysAddr{0x12345000});
  const Entry swap = paging.decode(uint64_t{0x1234} << 12 | 0x600 | 3U << 2, 1);
  EXPECT_EQ(swap.kind, EntryKind::swap);
  EXPECT_EQ(swap.swap_type, 3U);
  EXPECT_EQ(swap.swap_offset, 0x1234U);
}

TEST(S390xPaging, ShowsFlagsByLevel) {
  EXPECT_EQ(describe_flags(0x12345000 | kPageFlags, 1), "WRITE|READ|DIRTY|YOUNG|PRESENT");
  EXPECT_EQ(describe_flags(0x600, 1), "INVALID|PROTECT");
  EXPECT_EQ(describe_flags(0x12300000 | kLargeSegment | kInvalid, 2), "LARGE|INVALID");
  EXPECT_EQ(describe_flags(0, 3), "");
}

}  // namespace
}  // namespace kvista::arch::s390x
