#include "arch/arm64/paging.h"

#include <gtest/gtest.h>

namespace kvista::arch::arm64 {
namespace {

constexpr uint64_t kPageFlags = 0x68000000000713;  // as the kernel maps its data: valid, AF, shared, PXN, UXN
constexpr uint64_t kBlockFlags = 0x68000000000711;  // the same of a block

TEST(Arm64Paging, HasTheLevelsOfItsPageSizeAndBits) {
  struct Case {
    uint64_t page_size, bits;
    unsigned levels, top_entries;
  };
  // Documentation/arch/arm64/memory.rst, and LPA2's fifth level.
  for (const Case& one :
       {Case{4096, 39, 3, 512}, Case{4096, 48, 4, 512}, Case{4096, 52, 5, 16}, Case{16384, 36, 2, 2048},
        Case{16384, 47, 3, 2048}, Case{16384, 48, 4, 2}, Case{16384, 52, 4, 32}, Case{65536, 42, 2, 8192},
        Case{65536, 48, 3, 64}, Case{65536, 52, 3, 1024}}) {
    const auto paging = make_paging(one.page_size, one.bits);
    ASSERT_TRUE(paging) << one.page_size << ' ' << one.bits;
    EXPECT_EQ(paging->levels, one.levels) << one.page_size << ' ' << one.bits;
    EXPECT_EQ(paging->entries(paging->levels), one.top_entries) << one.page_size << ' ' << one.bits;
    EXPECT_EQ(paging->entry_size(1), one.page_size);
    EXPECT_EQ(paging->address_bits(), one.bits);
  }
}

TEST(Arm64Paging, HasNoOtherShapes) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{2048}, uint64_t{8192}, uint64_t{32768},
                              uint64_t{131072}, uint64_t{5000}, uint64_t{1} << 63})
    EXPECT_FALSE(make_paging(size, 48)) << size;
  for (const uint64_t bits : {uint64_t{0}, uint64_t{35}, uint64_t{53}, uint64_t{64}, UINT64_MAX})
    EXPECT_FALSE(make_paging(4096, bits)) << bits;
}

TEST(Arm64Paging, TellsTablesBlocksAndPagesApart) {
  const Paging paging = *make_paging(4096, 48);
  EXPECT_EQ(paging.decode(0x12345003, 4).kind, EntryKind::table);
  EXPECT_EQ(paging.decode(0x12345003, 2).target, PhysAddr{0x12345000});
  const Entry block = paging.decode(0x40200000 | kBlockFlags, 2);
  EXPECT_EQ(block.kind, EntryKind::leaf);
  EXPECT_EQ(block.target, PhysAddr{0x40200000});
  EXPECT_EQ(paging.decode(0x80000000 | kBlockFlags, 3).target, PhysAddr{0x80000000});
  const Entry page = paging.decode(0x12345000 | kPageFlags, 1);
  EXPECT_EQ(page.kind, EntryKind::leaf);
  EXPECT_EQ(page.target, PhysAddr{0x12345000});
  EXPECT_EQ(paging.decode(0x12345000 | kBlockFlags, 1).kind, EntryKind::none)
      << "reserved at the lowest level";
  EXPECT_EQ(paging.decode(0, 1).kind, EntryKind::none);
}

TEST(Arm64Paging, ShowsWhatWasTakenOutOfTheMap) {
  const Entry entry = make_paging(4096, 48)->decode((0x12345000 | kPageFlags) & ~uint64_t{1}, 1);
  EXPECT_EQ(entry.kind, EntryKind::prot_none);
  EXPECT_EQ(entry.target, PhysAddr{0x12345000});
}

TEST(Arm64Paging, AddressesOf52BitsAreWhereTheExtensionsPutThem) {
  // FEAT_LPA: bits 51 to 48 in bits 15 to 12.
  EXPECT_EQ(make_paging(65536, 52)->decode(0x0000'1234'0000'a003, 2).target, PhysAddr{0x000a'1234'0000'0000});
  // FEAT_LPA2: bits 51 and 50 in bits 9 and 8, bits 49 and 48 in place.
  EXPECT_EQ(make_paging(4096, 52)->decode(0x0003'0000'1234'5303, 2).target, PhysAddr{0x000f'0000'1234'5000});
  // Without it those are the shareability and nothing.
  EXPECT_EQ(make_paging(4096, 48)->decode(0x0003'0000'1234'5303, 2).target, PhysAddr{0x1234'5000});
}

TEST(Arm64Paging, MapsTheUpperAddressesOnly) {
  const Paging paging = *make_paging(4096, 48);
  EXPECT_TRUE(paging.is_canonical(VirtAddr{0xffff'0000'0000'0000}));
  EXPECT_TRUE(paging.is_canonical(VirtAddr{UINT64_MAX}));
  for (const uint64_t bad : {uint64_t{0}, uint64_t{0x7fff'ffff'ffff}, uint64_t{0xfffe'ffff'ffff'ffff}})
    EXPECT_FALSE(paging.is_canonical(VirtAddr{bad})) << std::hex << bad;
}

TEST(Arm64Paging, KeepsTheTablesOf52BitsWherePagesHave64KiB) {
  const Paging paging = *make_paging(65536, 48, 52);
  EXPECT_EQ(paging.levels, 3U);
  EXPECT_EQ(paging.address_bits(), 48U);
  EXPECT_EQ(paging.entries(3), 1024U);
  // The addresses of 48 bits are in the last 64 entries.
  EXPECT_EQ(paging.index_at(VirtAddr{0xffff'0000'0000'0000}, 3), 960U);
  EXPECT_EQ(paging.index_at(VirtAddr{UINT64_MAX}, 3), 1023U);
  EXPECT_FALSE(paging.is_canonical(VirtAddr{0xfff0'0000'0000'0000}));
  EXPECT_EQ(make_paging(65536, 48)->entries(3), 64U);
  // With pages of 4 KiB the top level goes.
  EXPECT_EQ(make_paging(4096, 48, 52)->levels, 4U);
}

TEST(Arm64Paging, StripsTagsAndNothingElse) {
  const Paging paging = *make_paging(4096, 48);
  EXPECT_EQ(paging.strip(VirtAddr{0xf4ff'0000'1234'5678}), VirtAddr{0xffff'0000'1234'5678});
  EXPECT_EQ(paging.strip(VirtAddr{0xffff'0000'1234'5678}), VirtAddr{0xffff'0000'1234'5678});
  for (const uint64_t poison : {uint64_t{0xdead'0000'0000'0100}, uint64_t{0xdead'ffff'0000'0122},
                                uint64_t{0x7fff'1234'5678}, uint64_t{0xf4f0'0000'1234'5678}})
    EXPECT_EQ(paging.strip(VirtAddr{poison}), VirtAddr{poison}) << std::hex << poison;
}

TEST(Arm64Paging, ShowsFlags) {
  EXPECT_EQ(describe_flags(0x12345000 | kPageFlags, 1), "VALID|TABLE|AF|DBM|PXN|UXN");
}

}  // namespace
}  // namespace kvista::arch::arm64
