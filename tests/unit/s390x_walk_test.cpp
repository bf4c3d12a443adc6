// Walks through s390x page tables: big-endian, of 2 to 5 levels, in an address space that starts at 0.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "arch/s390x/paging.h"
#include "base/endian.h"
#include "base/error.h"
#include "machine/address_space.h"
#include "unit/test_image.h"

namespace kvista::machine {
namespace {

using test::PhysicalMemory;
using test::TestImage;
using testing::IsEmpty;

constexpr uint64_t kRamSize = uint64_t{16} << 20;
constexpr uint64_t kRoot = 0x10000;
constexpr uint64_t kTableSize = 0x4000;
constexpr uint64_t kPageFlags = 0x03d;
constexpr uint64_t kLarge = 0xf403;
constexpr uint64_t kWhole = 3;  // table length

// Tables of 16 KiB from kRoot on, one for each level, and then page tables.
class Tables {
 public:
  explicit Tables(unsigned levels) : paging_(*arch::s390x::make_paging(levels)) {
    make_table(kRoot, levels);
    next_ = kRoot + kTableSize;
  }

  void map_page(uint64_t virt, uint64_t phys) { put(entry_of(virt, 1), phys | kPageFlags); }
  void map_large(uint64_t virt, uint64_t phys, unsigned level) {
    put(entry_of(virt, level), phys | kLarge | type_of(level));
  }
  void put(uint64_t at, uint64_t entry) {
    std::array<std::byte, 8> bytes{};
    store(bytes.data(), entry, ByteOrder::big);
    memory_.write(at, bytes);
  }
  // Where the entry of an address is, whose tables are made on the way.
  uint64_t entry_of(uint64_t virt, unsigned level) {
    uint64_t table = kRoot;
    for (unsigned at_level = paging_.levels; at_level > level; --at_level) {
      const uint64_t at = table + uint64_t{paging_.index_at(VirtAddr{virt}, at_level)} * 8;
      const uint64_t entry = get(at);
      table = entry & ~uint64_t{0x7ff};
      if ((entry & kInvalid) == 0) continue;
      table = next_;
      next_ += kTableSize;
      make_table(table, at_level - 1);
      put(at, table | type_of(at_level) | (at_level > 2 ? kWhole : 0));
    }
    return table + uint64_t{paging_.index_at(VirtAddr{virt}, level)} * 8;
  }
  AddressSpace space() const { return {image_, PhysAddr{kRoot}, paging_}; }
  AddressSpace space(unsigned levels) const {
    return {image_, PhysAddr{kRoot}, *arch::s390x::make_paging(levels)};
  }
  static uint64_t type_of(unsigned level) { return uint64_t{level - 2} << 2; }

 private:
  static constexpr uint64_t kInvalid = 0x20;

  // Of invalid entries, as the kernel makes it.
  void make_table(uint64_t at, unsigned level) {
    for (unsigned i = 0; i < paging_.entries(level); ++i)
      put(at + uint64_t{i} * 8, level == 1 ? 0x400 : type_of(level) | kInvalid);
  }
  uint64_t get(uint64_t at) const {
    std::array<std::byte, 8> bytes{};
    memory_.read(at, bytes);
    return load<uint64_t>(bytes.data(), ByteOrder::big);
  }

  arch::Paging paging_;
  PhysicalMemory memory_;
  uint64_t next_ = 0;
  TestImage image_{memory_, {{PhysAddr{0}, kRamSize}}};
};

uint64_t last_page(unsigned levels) {
  return (levels == 5 ? UINT64_MAX : (uint64_t{1} << (20 + 11 * (levels - 1))) - 1) - 0xfff;
}

std::vector<uint64_t> flat(const std::vector<Mapping>& mappings) {
  std::vector<uint64_t> numbers;
  for (const Mapping& m : mappings) numbers.insert(numbers.end(), {m.virt.value, m.phys.value, m.size});
  return numbers;
}

TEST(S390xWalk, GoesThroughAllLevels) {
  for (unsigned levels = 2; levels <= 5; ++levels) {
    Tables t(levels);
    for (const uint64_t virt :
         {uint64_t{0}, uint64_t{0xff000}, uint64_t{0x100000}, uint64_t{0x7fffe000}, last_page(levels)}) {
      t.map_page(virt, 0x9000);
      const Walk walk = t.space().walk(VirtAddr{virt + 0x123});
      EXPECT_EQ(walk.end, WalkEnd::mapped) << levels << ' ' << std::hex << virt;
      EXPECT_EQ(walk.phys, PhysAddr{0x9123});
      EXPECT_EQ(walk.page_size, 0x1000U);
      EXPECT_EQ(walk.steps.size(), levels);
    }
    EXPECT_EQ(t.space().walk(VirtAddr{0x1000}).end, WalkEnd::not_mapped);
    if (levels < 5) {
      EXPECT_EQ(t.space().walk(VirtAddr{last_page(levels) + 0x1000}).end, WalkEnd::not_canonical);
    }
  }
}

// Every place where an address goes on to the next entry of some level.
TEST(S390xWalk, KeepsTheBoundariesOfEachLevel) {
  Tables t(5);
  constexpr std::array kShifts = {12U, 20U, 31U, 42U, 53U};
  uint64_t phys = 0x400000;
  for (const unsigned shift : kShifts) {
    t.map_page((uint64_t{1} << shift) - 0x1000, phys);
    t.map_page(uint64_t{1} << shift, phys + 0x1000);
    phys += 0x2000;
  }
  phys = 0x400000;
  for (const unsigned shift : kShifts) {
    const VirtAddr at{(uint64_t{1} << shift) - 1};
    EXPECT_EQ(t.space().walk(at).phys, PhysAddr{phys + 0xfff}) << shift;
    EXPECT_EQ(t.space().walk(at + 1).phys, PhysAddr{phys + 0x1000}) << shift;
    phys += 0x2000;
  }
}

TEST(S390xWalk, EndsAtSegmentsAndRegionsThatMapMemory) {
  Tables t(4);
  t.map_large(0x300000, 0x500000, 2);
  t.map_large(uint64_t{2} << 31, uint64_t{6} << 31, 3);
  const Walk segment = t.space().walk(VirtAddr{0x345678});
  EXPECT_EQ(segment.phys, PhysAddr{0x545678});
  EXPECT_EQ(segment.page_size, uint64_t{1} << 20);
  const Walk region = t.space().walk(VirtAddr{(uint64_t{2} << 31) + 0x7abcdef0});
  EXPECT_EQ(region.phys, PhysAddr{(uint64_t{6} << 31) + 0x7abcdef0});
  EXPECT_EQ(region.page_size, uint64_t{2} << 30);
}

TEST(S390xWalk, ATableThatLacksTheEntryMapsNothing) {
  Tables t(3);
  const uint64_t inside = uint64_t{600} << 20;
  t.map_page(inside, 0x9000);
  const uint64_t entry = t.entry_of(inside, 3);
  const uint64_t segments = kRoot + kTableSize;
  t.put(entry, segments | 1U << 6 | Tables::type_of(3) | 1);  // the second quarter: 512 to 1023
  EXPECT_EQ(t.space().walk(VirtAddr{inside}).end, WalkEnd::mapped);
  t.put(segments, 0x100000 | kLarge);  // behind what the table has
  EXPECT_EQ(t.space().walk(VirtAddr{0}).end, WalkEnd::not_mapped);
  EXPECT_EQ(t.space().walk(VirtAddr{0}).steps.size(), 1U);
  EXPECT_EQ(flat(t.space().mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}})),
            (std::vector<uint64_t>{inside, 0x9000, 0x1000}));
}

TEST(S390xWalk, AnotherNumberOfLevelsLeadsNowhere) {
  for (unsigned levels = 2; levels <= 5; ++levels) {
    Tables t(levels);
    t.map_page(0x5000, 0x9000);
    for (unsigned other = 2; other <= 5; ++other)
      EXPECT_EQ(t.space(other).walk(VirtAddr{0x5000}).end,
                other == levels ? WalkEnd::mapped : WalkEnd::not_mapped)
          << levels << ' ' << other;
  }
}

TEST(S390xMappings, ReachFromTheFirstToTheLastAddress) {
  for (unsigned levels = 2; levels <= 5; ++levels) {
    Tables t(levels);
    t.map_page(0, 0x9000);
    t.map_page(0x1000, 0xa000);
    t.map_page(last_page(levels), 0xb000);
    EXPECT_EQ(flat(t.space().mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}})),
              (std::vector<uint64_t>{0, 0x9000, 0x2000, last_page(levels), 0xb000, 0x1000}))
        << levels;
    EXPECT_THAT(t.space().mappings({VirtAddr{0x2000}, VirtAddr{last_page(levels) - 1}}), IsEmpty());
  }
}

TEST(S390xMappings, GiveUpOnTablesThatLoop) {
  Tables t(3);
  for (unsigned i = 0; i < 2048; ++i) t.put(kRoot + uint64_t{i} * 8, kRoot | Tables::type_of(3) | kWhole);
  EXPECT_THROW(t.space().mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}}), FormatError);
}

TEST(S390xTables, AreVisitedWithTheirSizes) {
  Tables t(3);
  t.map_page(0x5000, 0x9000);
  std::vector<uint64_t> sizes;
  t.space().for_each_table([&](PhysRange table) { sizes.push_back(table.size); });
  EXPECT_EQ(sizes, (std::vector<uint64_t>{0x4000, 0x4000, 0x800}));
}

}  // namespace
}  // namespace kvista::machine
