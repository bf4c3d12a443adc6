#include "machine/address_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arch/arm64/paging.h"
#include "arch/x86_64/paging.h"
#include "base/error.h"
#include "images/page_tables.h"
#include "unit/bytes.h"
#include "unit/test_image.h"

namespace kvista::machine {
namespace {

using arch::EntryKind;
using arch::Paging;
using test::PageTables;
using test::PhysicalMemory;
using test::TestImage;
using testing::IsEmpty;

constexpr uint64_t kRoot = 0x1000;
constexpr uint64_t kRamSize = uint64_t{16} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kMiB2 = uint64_t{2} << 20;
constexpr uint64_t kDirect4 = 0xffff888000000000;
constexpr uint64_t kDirect5 = 0xff11000000000000;
constexpr uint64_t kText = 0xffffffff81000000;

// A machine of 16 MiB whose tables are built from 4 KiB on.
struct Tables {
  explicit Tables(unsigned levels = 4, uint64_t sme_mask = 0)
      : paging(arch::x86_64::make_paging(levels, sme_mask)),
        tables(memory, kRoot, levels, sme_mask, [this] { return next += 0x1000; }) {}

  AddressSpace space() const { return {image, PhysAddr{kRoot}, paging}; }

  Paging paging;
  PhysicalMemory memory;
  uint64_t next = kRoot;
  PageTables tables;
  TestImage image{memory, {{PhysAddr{0}, kRamSize}}};
};

VirtRange everything(uint64_t first) {
  return {VirtAddr{first}, VirtAddr{UINT64_MAX}};
}

std::vector<uint64_t> flat(const std::vector<Mapping>& mappings) {
  std::vector<uint64_t> numbers;
  for (const Mapping& m : mappings) numbers.insert(numbers.end(), {m.virt.value, m.phys.value, m.size});
  return numbers;
}

TEST(Walk, GoesThroughAllLevelsToASmallPage) {
  for (const unsigned levels : {4U, 5U}) {
    Tables t(levels);
    const uint64_t virt = levels == 4 ? kDirect4 : kDirect5;
    t.tables.map_page(virt + 0x5000, 0x5000, 1);
    const Walk walk = t.space().walk(VirtAddr{virt + 0x5123});
    EXPECT_EQ(walk.end, WalkEnd::mapped);
    EXPECT_EQ(walk.phys, PhysAddr{0x5123});
    EXPECT_EQ(walk.page_size, 0x1000U);
    ASSERT_EQ(walk.steps.size(), levels);
    EXPECT_EQ(walk.steps.front().level, levels);
    EXPECT_EQ(walk.steps.front().entry_at,
              PhysAddr{kRoot + uint64_t{t.paging.index_at(VirtAddr{virt}, levels)} * 8});
    EXPECT_EQ(walk.steps.front().entry.kind, EntryKind::table);
    EXPECT_EQ(walk.steps.back().level, 1U);
    EXPECT_EQ(walk.steps.back().entry.kind, EntryKind::leaf);
    EXPECT_EQ(walk.steps.back().raw, 0x8000000000005163U);
  }
}

TEST(Walk, EndsAtLargePages) {
  Tables t;
  t.tables.map_page(kText, 0x400000, 2);
  t.tables.map_page(kDirect4 + kGiB, 3 * kGiB, 3);
  const Walk two_mib = t.space().walk(VirtAddr{kText + 0x12345});
  EXPECT_EQ(two_mib.phys, PhysAddr{0x412345});
  EXPECT_EQ(two_mib.page_size, kMiB2);
  EXPECT_EQ(two_mib.steps.size(), 3U);
  const Walk gib = t.space().walk(VirtAddr{kDirect4 + kGiB + 0x2abcdef});
  EXPECT_EQ(gib.phys, PhysAddr{3 * kGiB + 0x2abcdef});
  EXPECT_EQ(gib.page_size, kGiB);
}

TEST(Walk, TakesTheEncryptionMaskOutOfEveryEntry) {
  Tables t(5, uint64_t{1} << 51);
  t.tables.map_page(kDirect5 + 0x5000, 0x5000, 1);
  EXPECT_EQ(t.space().walk(VirtAddr{kDirect5 + 0x5001}).phys, PhysAddr{0x5001});
  const AddressSpace unaware(t.image, PhysAddr{kRoot}, arch::x86_64::make_paging(5));
  EXPECT_EQ(unaware.walk(VirtAddr{kDirect5 + 0x5001}).end, WalkEnd::table_missing);
}

TEST(Walk, TellsWhyNothingIsMapped) {
  Tables t;
  t.tables.map_page(kText, 0x5000, 1);
  t.tables.map_prot_none(kText + 0x1000, 0x6000, 1);
  t.tables.map_swap(kText + 0x2000, 3, 0x1234);
  EXPECT_EQ(t.space().walk(VirtAddr{kText + 0x3000}).end, WalkEnd::not_mapped);
  EXPECT_EQ(t.space().walk(VirtAddr{kDirect4}).end, WalkEnd::not_mapped);
  EXPECT_EQ(t.space().walk(VirtAddr{kDirect4}).steps.size(), 1U);
  EXPECT_EQ(t.space().walk(VirtAddr{0x0000800000000000}).end, WalkEnd::not_canonical);

  const Walk none = t.space().walk(VirtAddr{kText + 0x1010});
  EXPECT_EQ(none.end, WalkEnd::prot_none);
  EXPECT_EQ(none.phys, PhysAddr{0x6010});
  const Walk swapped = t.space().walk(VirtAddr{kText + 0x2000});
  EXPECT_EQ(swapped.end, WalkEnd::swapped);
  EXPECT_EQ(swapped.steps.back().entry.swap_type, 3U);
  EXPECT_EQ(swapped.steps.back().entry.swap_offset, 0x1234U);
}

TEST(Walk, SaysWhichTableIsNotInTheImageAndWhy) {
  Tables t;
  t.tables.map_page(kText, 0x5000, 1);
  t.tables.set_entry(kDirect4, 4, t.tables.table_entry(kRamSize + 0x3000));
  const Walk beyond = t.space().walk(VirtAddr{kDirect4});
  EXPECT_EQ(beyond.end, WalkEnd::table_missing);
  EXPECT_EQ(beyond.missing, PhysAddr{kRamSize + 0x3000});
  EXPECT_EQ(beyond.missing_state, image::PageState::beyond);

  const TestImage excluded(t.memory, {{PhysAddr{0}, kRamSize}}, {{PhysAddr{kRoot}, 0x1000}});
  const Walk absent = AddressSpace(excluded, PhysAddr{kRoot}, t.paging).walk(VirtAddr{kText});
  EXPECT_EQ(absent.end, WalkEnd::table_missing);
  EXPECT_EQ(absent.missing_state, image::PageState::absent);
  EXPECT_THAT(absent.steps, IsEmpty());
}

TEST(Walk, EndsAlthoughATablePointsToItself) {
  Tables t;
  t.tables.set_entry(kDirect4, 4, t.tables.table_entry(kRoot));
  for (uint64_t at = kDirect4; at - kDirect4 < 8 * kGiB; at += kGiB)
    EXPECT_LE(t.space().walk(VirtAddr{at}).steps.size(), 4U);
}

TEST(WalkEnd, EachHasAName) {
  for (int i = 0; i <= static_cast<int>(WalkEnd::not_canonical); ++i)
    EXPECT_STRNE(describe(static_cast<WalkEnd>(i)), "");
}

TEST(Translate, GivesWhatIsLeftOfThePage) {
  Tables t;
  t.tables.map_page(kText, 0x400000, 2);
  const auto mapping = t.space().translate(VirtAddr{kText + 0x1000});
  ASSERT_TRUE(mapping);
  EXPECT_EQ(mapping->phys, PhysAddr{0x401000});
  EXPECT_EQ(mapping->size, kMiB2 - 0x1000);
  EXPECT_FALSE(t.space().translate(VirtAddr{kText + kMiB2}));
}

TEST(VirtualRead, CrossesPagesThatAreNotNeighboursInMemory) {
  Tables t;
  t.tables.map_page(kText, 0x9000, 1);
  t.tables.map_page(kText + 0x1000, 0x7000, 1);
  t.memory.write(0x9ffc, "good");
  t.memory.write(0x7000, "bytes");
  test::Bytes out(9);
  const VirtRead read = t.space().read(VirtAddr{kText + 0xffc}, out);
  EXPECT_EQ(read.done, 9U);
  EXPECT_EQ(read.end, WalkEnd::mapped);
  EXPECT_EQ(out, test::bytes_of("goodbytes"));
}

TEST(VirtualRead, StopsWhereNothingIsMapped) {
  Tables t;
  t.tables.map_page(kText, 0x9000, 1);
  test::Bytes out(0x2000);
  const VirtRead read = t.space().read(VirtAddr{kText + 0x800}, out);
  EXPECT_EQ(read.done, 0x800U);
  EXPECT_EQ(read.end, WalkEnd::not_mapped);
}

TEST(VirtualRead, StopsWhereThePageIsNotInTheImage) {
  Tables t;
  t.tables.map_page(kText, 0x9000, 1);
  t.tables.map_page(kText + 0x1000, kRamSize, 1);
  test::Bytes out(0x2000);
  const VirtRead read = t.space().read(VirtAddr{kText}, out);
  EXPECT_EQ(read.done, 0x1000U);
  EXPECT_EQ(read.end, WalkEnd::mapped);
  EXPECT_EQ(read.state, image::PageState::beyond);
}

TEST(VirtualRead, DoesNotGoOnAtAddressZeroFromTheEndOfTheAddressSpace) {
  Tables t;
  t.tables.map_page(0xfffffffffffff000, 0x9000, 1);
  t.tables.map_page(0, 0xa000, 1);
  test::Bytes out(0x2000);
  EXPECT_EQ(t.space().read(VirtAddr{0xfffffffffffff000}, out).done, 0x1000U);
}

TEST(Mappings, JoinPagesThatTouchInBothSpaces) {
  Tables t;
  t.tables.map_page(kText, 0x400000, 2);
  t.tables.map_page(kText + kMiB2, 0x600000, 1);           // touches
  t.tables.map_page(kText + kMiB2 + 0x1000, 0x605000, 1);  // virtual memory touches, physical does not
  t.tables.map_page(kText + kMiB2 + 0x3000, 0x606000, 1);  // physical memory touches, virtual does not
  EXPECT_EQ(flat(t.space().mappings(everything(kText))),
            (std::vector<uint64_t>{kText, 0x400000, kMiB2 + 0x1000,           //
                                   kText + kMiB2 + 0x1000, 0x605000, 0x1000,  //
                                   kText + kMiB2 + 0x3000, 0x606000, 0x1000}));
}

TEST(Mappings, AreClippedToTheRange) {
  Tables t;
  t.tables.map_page(kText, 0x400000, 2);
  const VirtRange middle{VirtAddr{kText + 0x1800}, VirtAddr{kText + 0x27ff}};
  EXPECT_EQ(flat(t.space().mappings(middle)), (std::vector<uint64_t>{kText + 0x1800, 0x401800, 0x1000}));
  const VirtRange one_byte{VirtAddr{kText}, VirtAddr{kText}};
  EXPECT_EQ(flat(t.space().mappings(one_byte)), (std::vector<uint64_t>{kText, 0x400000, 1}));
  const VirtRange after{VirtAddr{kText + kMiB2}, VirtAddr{UINT64_MAX}};
  EXPECT_THAT(t.space().mappings(after), IsEmpty());
}

TEST(Mappings, AreFoundInEachHalfOfTheAddressSpaceAndAcrossBoth) {
  for (const unsigned levels : {4U, 5U}) {
    Tables t(levels);
    const uint64_t last_low = (uint64_t{1} << (levels == 4 ? 47 : 56)) - 0x1000;
    const uint64_t first_high = ~((uint64_t{1} << (levels == 4 ? 47 : 56)) - 1);
    t.tables.map_page(0, 0x5000, 1);
    t.tables.map_page(last_low, 0x7000, 1);
    t.tables.map_page(first_high, 0x9000, 1);
    t.tables.map_page(0xfffffffffffff000, 0xb000, 1);
    const std::vector<uint64_t> low = {0, 0x5000, 0x1000, last_low, 0x7000, 0x1000};
    const std::vector<uint64_t> high = {first_high, 0x9000, 0x1000, 0xfffffffffffff000, 0xb000, 0x1000};
    std::vector<uint64_t> both = low;
    both.insert(both.end(), high.begin(), high.end());
    EXPECT_EQ(flat(t.space().mappings({VirtAddr{0}, VirtAddr{last_low + 0xfff}})), low) << levels;
    EXPECT_EQ(flat(t.space().mappings(everything(first_high))), high) << levels;
    EXPECT_EQ(flat(t.space().mappings(everything(0))), both) << levels;
    EXPECT_THAT(t.space().mappings({VirtAddr{last_low + 0x1000}, VirtAddr{first_high - 1}}), IsEmpty())
        << "no address between the halves is one";
  }
}

TEST(Mappings, LeaveOutPagesThatNobodyMayAccess) {
  Tables t;
  t.tables.map_prot_none(kText, 0x6000, 1);
  t.tables.map_swap(kText + 0x1000, 1, 2);
  EXPECT_THAT(t.space().mappings(everything(kText)), IsEmpty());
}

TEST(Mappings, CountTablesThatAreNotInTheImage) {
  Tables t;
  t.tables.map_page(kText, 0x5000, 1);
  t.tables.set_entry(kDirect4, 4, t.tables.table_entry(kRamSize));
  t.tables.set_entry(kDirect4 + (uint64_t{1} << 39), 4, t.tables.table_entry(kRamSize + 0x1000));
  size_t missing = 0;
  EXPECT_EQ(t.space().mappings(everything(kDirect4), &missing).size(), 1U);
  EXPECT_EQ(missing, 2U);
}

TEST(Mappings, GiveUpOnTablesThatLoop) {
  Tables t;
  for (uint64_t i = 256; i < 512; ++i) t.memory.put64(kRoot + i * 8, t.tables.table_entry(kRoot));
  EXPECT_THROW(t.space().mappings(everything(0xffff800000000000)), FormatError);
}

// An image may claim far more memory than it holds: that must not make a loop last longer.
TEST(Mappings, GiveUpOnTablesThatLoopInAnImageThatClaimsAnExabyte) {
  Tables t(5);
  for (uint64_t i = 0; i < 512; ++i) t.memory.put64(kRoot + i * 8, t.tables.table_entry(kRoot));
  struct Claim final : image::MemoryImage {
    explicit Claim(const std::byte* page) : root(page) { ram_ = {{PhysAddr{0}, uint64_t{1} << 60}}; }
    image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
      if (address.value < kRoot || address.value + out.size() > kRoot + 0x1000)
        return {0, image::PageState::absent};
      std::copy_n(root + (address.value - kRoot), out.size(), out.begin());
      return {out.size(), image::PageState::present};
    }
    std::vector<std::byte> read_note(const image::Note& /*note*/, uint64_t /*limit*/) const override {
      return {};
    }
    const std::byte* root;
  };
  test::Bytes page(0x1000);
  t.memory.read(kRoot, page);
  const Claim image(page.data());
  const AddressSpace space(image, PhysAddr{kRoot}, t.paging);
  EXPECT_THROW(space.mappings(everything(0xff00000000000000)), FormatError);
}

TEST(FirstMapped, FindsTheLowestPage) {
  Tables t;
  t.tables.map_page(kText, 0x5000, 1);
  t.tables.map_page(kDirect4 + 0x3000, 0x3000, 1);
  const auto first = t.space().first_mapped(everything(0xffff800000000000));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->virt, VirtAddr{kDirect4 + 0x3000});
  EXPECT_EQ(first->phys, PhysAddr{0x3000});
}

TEST(FirstMapped, FindsNothingInEmptyMemory) {
  Tables t;
  EXPECT_FALSE(t.space().first_mapped(everything(0xffff800000000000)));
}

TEST(FirstMapped, ReadsNoTableBehindTheFirstPage) {
  Tables t;
  t.tables.map_page(kDirect4, 0x3000, 1);
  for (uint64_t i = 300; i < 512; ++i) t.memory.put64(kRoot + i * 8, t.tables.table_entry(kRoot));
  EXPECT_TRUE(t.space().first_mapped(everything(0xffff800000000000))) << "the loop behind it was walked";
}

TEST(ForEachPage, VisitsPagesAsLargeAsTheyAreMappedInOrder) {
  Tables t;
  t.tables.map_page(kDirect4 + kGiB, 3 * kGiB, 3);
  t.tables.map_page(kText, 0x400000, 2);
  t.tables.map_page(kDirect4, 0x8000, 1);
  std::vector<Mapping> pages;
  t.space().for_each_page(everything(kDirect4), [&](const Mapping& page) {
    pages.push_back(page);
    return true;
  });
  EXPECT_EQ(flat(pages), (std::vector<uint64_t>{kDirect4, 0x8000, 0x1000, kDirect4 + kGiB, 3 * kGiB, kGiB,
                                                kText, 0x400000, kMiB2}));
}

// --- arm64: the kernel's root maps the upper addresses alone, and its top table may be a part of a page ---

constexpr uint64_t kLastOf16 = 15 * sizeof(uint64_t);  // where the last entry of the top table is
constexpr uint64_t kArmTable = 3;
constexpr uint64_t kArmPage = 0x68000000000413;
constexpr uint64_t kArmBlock = 0x68000000000411;

// 52 bits of address and 4 KiB pages: five levels, the top one with 16 entries.
struct ArmTables {
  ArmTables() {
    const std::array<uint64_t, 4> tables = {kRoot + kLastOf16, 0x2000, 0x3000,
                                            0x4000};  // of the last 16th, then its first entries
    for (size_t i = 0; i < tables.size(); ++i) memory.put64(tables.at(i), (0x2000 + 0x1000 * i) | kArmTable);
    memory.put64(0x5000 + 3 * 8, 0x7000 | kArmPage);
    memory.put64(0x5000 + 4 * 8, 0x8000 | kArmPage);
    memory.put64(0x4000 + 8, 0x200000 | kArmBlock);
  }
  AddressSpace space() const { return {image, PhysAddr{kRoot}, *arch::arm64::make_paging(4096, 52)}; }

  static constexpr uint64_t kBase = 0xffff000000000000;
  PhysicalMemory memory;
  TestImage image{memory, {{PhysAddr{0}, kRamSize}}};
};

TEST(Arm64Walk, GoesThroughAllLevels) {
  const ArmTables t;
  const Walk walk = t.space().walk(VirtAddr{ArmTables::kBase + 0x3123});
  EXPECT_EQ(walk.end, WalkEnd::mapped);
  EXPECT_EQ(walk.phys, PhysAddr{0x7123});
  ASSERT_EQ(walk.steps.size(), 5U);
  EXPECT_EQ(walk.steps.front().entry_at, PhysAddr{kRoot + kLastOf16});
  EXPECT_EQ(t.space().walk(VirtAddr{ArmTables::kBase + 0x2fffff}).phys, PhysAddr{0x2fffff});
  EXPECT_EQ(t.space().walk(VirtAddr{ArmTables::kBase + 0x5000}).end, WalkEnd::not_mapped);
}

TEST(Arm64Walk, IgnoresATagAndNoPoison) {
  const ArmTables t;
  EXPECT_EQ(t.space().walk(VirtAddr{0xf3ff000000003123}).phys, PhysAddr{0x7123});
  for (const uint64_t bad : {uint64_t{0xdeff000000003123}, uint64_t{0x3123}, uint64_t{0xffef000000003123}})
    EXPECT_EQ(t.space().walk(VirtAddr{bad}).end, WalkEnd::not_canonical) << std::hex << bad;
}

TEST(Arm64Mappings, AreThoseOfTheUpperHalf) {
  const ArmTables t;
  const uint64_t base = ArmTables::kBase;
  EXPECT_EQ(flat(t.space().mappings(everything(0))),
            (std::vector<uint64_t>{base + 0x3000, 0x7000, 0x2000, base + 0x200000, 0x200000, kMiB2}));
  EXPECT_THAT(t.space().mappings({VirtAddr{0}, VirtAddr{base - 1}}), IsEmpty());
}

TEST(Arm64Tables, AreVisitedWithTheirSizes) {
  const ArmTables t;
  std::vector<uint64_t> sizes;
  t.space().for_each_table([&](PhysRange table) { sizes.push_back(table.size); });
  EXPECT_EQ(sizes, (std::vector<uint64_t>{128, 4096, 4096, 4096, 4096}));
}

}  // namespace
}  // namespace kvista::machine
