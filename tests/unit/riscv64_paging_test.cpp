#include "arch/riscv64/paging.h"

#include <gtest/gtest.h>

namespace kvista::arch::riscv64 {
namespace {

constexpr uint64_t kFlags = 0xe7;  // as the kernel maps its data: valid, R, W, global, accessed, dirty
constexpr uint64_t kTable = 1;

// The entry of a frame.
constexpr uint64_t entry(uint64_t phys, uint64_t flags) {
  return phys >> 12 << 10 | flags;
}

TEST(Riscv64Paging, HasTheLevelsOfItsBits) {
  unsigned levels = 3;
  for (const uint64_t bits : {uint64_t{39}, uint64_t{48}, uint64_t{57}}) {
    const auto paging = make_paging(bits);
    ASSERT_TRUE(paging) << bits;
    EXPECT_EQ(paging->levels, levels) << bits;
    EXPECT_EQ(paging->entries(levels), 512U) << bits;
    EXPECT_EQ(paging->entry_size(1), 4096U);
    EXPECT_EQ(paging->address_bits(), bits);
    ++levels;
  }
  for (const uint64_t bits : {uint64_t{0}, uint64_t{32}, uint64_t{38}, uint64_t{40}, uint64_t{47},
                              uint64_t{64}, uint64_t{66}, UINT64_MAX})
    EXPECT_FALSE(make_paging(bits)) << bits;
}

TEST(Riscv64Paging, TellsTablesFromPagesByWhatTheyAllow) {
  const Paging paging = *make_paging(57);
  for (unsigned level = 2; level <= 5; ++level) {
    const Entry table = paging.decode(entry(0x12345000, kTable), level);
    EXPECT_EQ(table.kind, EntryKind::table) << level;
    EXPECT_EQ(table.target, PhysAddr{0x12345000}) << level;
  }
  EXPECT_EQ(paging.decode(entry(0x12345000, kTable), 1).kind, EntryKind::none) << "nothing is below it";
  // R, R and W, X alone, and W alone, which is a shadow stack.
  for (const uint64_t access : {uint64_t{2}, uint64_t{6}, uint64_t{8}, uint64_t{4}}) {
    const Entry page = paging.decode(entry(0x12345000, kTable | access), 1);
    EXPECT_EQ(page.kind, EntryKind::leaf) << access;
    EXPECT_EQ(page.target, PhysAddr{0x12345000}) << access;
  }
  EXPECT_EQ(paging.decode(entry(0x40200000, kFlags), 2).target, PhysAddr{0x40200000});
  EXPECT_EQ(paging.decode(entry(0x80000000, kFlags), 3).target, PhysAddr{0x80000000});
  EXPECT_EQ(paging.decode(entry(uint64_t{1} << 55, kFlags), 5).target, PhysAddr{uint64_t{1} << 55});
  EXPECT_EQ(paging.decode(0, 1).kind, EntryKind::none);
}

TEST(Riscv64Paging, AddressesHave56Bits) {
  const Paging paging = *make_paging(48);
  EXPECT_EQ(paging.decode(UINT64_MAX >> 10 << 10 | kFlags, 2).target, PhysAddr{0x00ff'ffff'ffe0'0000});
  // Types of memory, of Svpbmt and of T-Head, are no address.
  for (const uint64_t type : {uint64_t{1} << 61, uint64_t{1} << 62, uint64_t{7} << 60, uint64_t{1} << 59})
    EXPECT_EQ(paging.decode(entry(0x12345000, kFlags) | type, 1).target, PhysAddr{0x12345000})
        << std::hex << type;
}

TEST(Riscv64Paging, SixteenEntriesOfOnePage) {
  constexpr uint64_t kNapot = uint64_t{1} << 63;
  const Paging paging = *make_paging(39);
  const Entry page = paging.decode(entry(0x12348000, kFlags) | kNapot, 1);
  EXPECT_EQ(page.kind, EntryKind::leaf);
  EXPECT_EQ(page.target, PhysAddr{0x12340000});
  EXPECT_EQ(paging.page_bytes(page, 1), 65536U);
  // Other frames, and other levels, have no such pages.
  for (const uint64_t phys : {uint64_t{0x12340000}, uint64_t{0x12344000}, uint64_t{0x12349000}}) {
    const Entry other = paging.decode(entry(phys, kFlags) | kNapot, 1);
    EXPECT_EQ(other.target, PhysAddr{phys});
    EXPECT_EQ(paging.page_bytes(other, 1), 4096U);
  }
  EXPECT_EQ(paging.page_bytes(paging.decode(entry(0x12348000, kFlags) | kNapot, 2), 2), 0x200000U);
}

TEST(Riscv64Paging, ShowsWhatIsNotPresent) {
  const Paging paging = *make_paging(48);
  const Entry taken_out = paging.decode(entry(0x12345000, kFlags) & ~uint64_t{1}, 1);
  EXPECT_EQ(taken_out.kind, EntryKind::prot_none);
  EXPECT_EQ(taken_out.target, PhysAddr{0x12345000});
  EXPECT_EQ(paging.decode(entry(0x12345000, 0x20), 1).kind, EntryKind::prot_none) << "_PAGE_PROT_NONE";
  const Entry swapped = paging.decode(uint64_t{0x1234} << 12 | uint64_t{5} << 7, 1);
  EXPECT_EQ(swapped.kind, EntryKind::swap);
  EXPECT_EQ(swapped.swap_type, 5U);
  EXPECT_EQ(swapped.swap_offset, 0x1234U);
}

TEST(Riscv64Paging, BothHalvesAreAddresses) {
  for (const uint64_t bits : {uint64_t{39}, uint64_t{48}, uint64_t{57}}) {
    const Paging paging = *make_paging(bits);
    const uint64_t half = uint64_t{1} << (bits - 1);
    EXPECT_TRUE(paging.is_canonical(VirtAddr{half - 1}));
    EXPECT_TRUE(paging.is_canonical(VirtAddr{~half + 1}));
    EXPECT_FALSE(paging.is_canonical(VirtAddr{half}));
    EXPECT_FALSE(paging.is_canonical(VirtAddr{~half}));
  }
}

TEST(Riscv64Paging, ShowsFlags) {
  EXPECT_EQ(describe_flags(entry(0x12345000, kFlags), 1), "PRESENT|READ|WRITE|GLOBAL|ACCESSED|DIRTY");
  EXPECT_EQ(describe_flags(entry(0x12348000, kFlags) | uint64_t{0xa} << 60, 1),
            "PRESENT|READ|WRITE|GLOBAL|ACCESSED|DIRTY|NOCACHE|NAPOT");
  EXPECT_EQ(describe_flags(uint64_t{4} << 60 | 9, 1), "PRESENT|EXEC|IO");
  EXPECT_EQ(describe_flags(uint64_t{7} << 60 | 1, 1), "PRESENT|PMA");
}

TEST(Riscv64Paging, ReadsTheRegisterOfTheRoot) {
  const auto satp = decode_satp(0xa00'0000'0008'1600 | uint64_t{10} << 60);
  ASSERT_TRUE(satp);
  EXPECT_EQ(satp->va_bits, 57U);
  EXPECT_EQ(satp->root, PhysAddr{0x81600000}) << "an address space's number is no address";
  EXPECT_EQ(decode_satp(uint64_t{8} << 60)->va_bits, 39U);
  EXPECT_EQ(decode_satp(uint64_t{9} << 60)->va_bits, 48U);
  for (const uint64_t mode : {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{11}, uint64_t{15}})
    EXPECT_FALSE(decode_satp(mode << 60 | 0x81600)) << mode;
}

}  // namespace
}  // namespace kvista::arch::riscv64
