// Walks through riscv64 page tables made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "arch/riscv64/paging.h"
#include "machine/address_space.h"
#include "unit/test_image.h"

namespace kvista::machine {
namespace {

constexpr uint64_t kRoot = 0x1000;
constexpr uint64_t kLeaf = 0xe7;
constexpr uint64_t kNapot = uint64_t{1} << 63;
constexpr uint64_t kMiB2 = uint64_t{2} << 20;
constexpr std::array kBits = {uint64_t{39}, uint64_t{48}, uint64_t{57}};

// Tables from kRoot on, one behind another as they are needed.
class Tables {
 public:
  explicit Tables(uint64_t bits) : paging_(*arch::riscv64::make_paging(bits)) {}

  AddressSpace space() const { return {image_, PhysAddr{kRoot}, paging_}; }
  uint64_t first_upper() const { return ~uint64_t{0} << (paging_.address_bits() - 1); }

  // Writes the entry of `level` that maps `virt`, and the tables above it.
  void set(uint64_t virt, unsigned level, uint64_t entry) {
    uint64_t table = kRoot;
    for (unsigned at = paging_.levels; at > level; --at) {
      const uint64_t place = table + uint64_t{paging_.index_at(VirtAddr{virt}, at)} * 8;
      if (memory_.get64(place) == 0) memory_.put64(place, (end_ += 0x1000) >> 12 << 10 | 1);
      table = memory_.get64(place) >> 10 << 12;
    }
    memory_.put64(table + uint64_t{paging_.index_at(VirtAddr{virt}, level)} * 8, entry);
  }
  void map(uint64_t virt, unsigned level, uint64_t phys) { set(virt, level, phys >> 12 << 10 | kLeaf); }

 private:
  arch::Paging paging_;
  test::PhysicalMemory memory_;
  uint64_t end_ = kRoot;
  test::TestImage image_{memory_, {{PhysAddr{0}, uint64_t{16} << 20}}};
};

std::vector<uint64_t> flat(const std::vector<Mapping>& mappings) {
  std::vector<uint64_t> numbers;
  for (const Mapping& m : mappings) numbers.insert(numbers.end(), {m.virt.value, m.phys.value, m.size});
  return numbers;
}

TEST(Riscv64Walk, ReachesTheEndsOfBothHalves) {
  for (const uint64_t bits : kBits) {
    SCOPED_TRACE(bits);
    Tables t(bits);
    const uint64_t last_lower = (uint64_t{1} << (bits - 1)) - 4096;
    const std::array places = {uint64_t{0}, last_lower, t.first_upper(), UINT64_MAX - 4095};
    for (size_t i = 0; i < places.size(); ++i) t.map(places.at(i), 1, 0x800000 + 0x1000 * i);
    for (size_t i = 0; i < places.size(); ++i) {
      const Walk walk = t.space().walk(VirtAddr{places.at(i) + 0xfff});
      EXPECT_EQ(walk.end, WalkEnd::mapped) << i;
      EXPECT_EQ(walk.phys, PhysAddr{0x800fff + 0x1000 * i}) << i;
      EXPECT_EQ(walk.steps.size(), bits / 9 - 1) << i;
    }
    for (const uint64_t beyond : {last_lower + 4096, t.first_upper() - 1})
      EXPECT_EQ(t.space().walk(VirtAddr{beyond}).end, WalkEnd::not_canonical) << std::hex << beyond;
    EXPECT_EQ(t.space().walk(VirtAddr{4096}).end, WalkEnd::not_mapped);
    EXPECT_EQ(t.space().mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}}).size(), places.size());
  }
}

TEST(Riscv64Walk, EveryLevelCanMapPages) {
  for (const uint64_t bits : kBits) {
    Tables t(bits);
    const auto levels = static_cast<unsigned>(bits / 9 - 1);
    for (unsigned level = 1; level <= levels; ++level) {
      // In the second entry of each table, so that the first leads on.
      const uint64_t size = uint64_t{4096} << 9 * (level - 1);
      const uint64_t at = t.first_upper() + size;
      t.map(at, level, 4 * size);
      const Walk walk = t.space().walk(VirtAddr{at + size - 1});
      EXPECT_EQ(walk.phys, PhysAddr{5 * size - 1}) << bits << ' ' << level;
      EXPECT_EQ(walk.page_size, size) << bits << ' ' << level;
    }
  }
}

TEST(Riscv64Walk, APageOfSixteenEntries) {
  Tables t(39);
  const uint64_t base = t.first_upper() + 0x40000;
  for (uint64_t i = 0; i < 16; ++i)
    t.set(base + i * 4096, 1, uint64_t{0x128000} >> 12 << 10 | kLeaf | kNapot);
  for (const uint64_t into : {uint64_t{0}, uint64_t{0x1234}, uint64_t{0x8000}, uint64_t{0xffff}}) {
    const Walk walk = t.space().walk(VirtAddr{base + into});
    EXPECT_EQ(walk.phys, PhysAddr{0x120000 + into});
    EXPECT_EQ(walk.page_size, 65536U);
  }
  const auto one = t.space().translate(VirtAddr{base + 0x1234});
  ASSERT_TRUE(one);
  EXPECT_EQ(one->size, 0x10000U - 0x1234);
  EXPECT_EQ(t.space().walk(VirtAddr{base + 0x10000}).end, WalkEnd::not_mapped);
  EXPECT_EQ(flat(t.space().mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}})),
            (std::vector<uint64_t>{base, 0x120000, 0x10000}));
  // From its middle on, as far as asked for.
  EXPECT_EQ(flat(t.space().mappings({VirtAddr{base + 0x2800}, VirtAddr{base + 0x47ff}})),
            (std::vector<uint64_t>{base + 0x2800, 0x122800, 0x2000}));
}

TEST(Riscv64Mappings, JoinPagesOfAllSizes) {
  Tables t(57);
  const uint64_t base = t.first_upper();
  t.map(base + kMiB2 - 4096, 1, 0x3ff000);
  t.map(base + kMiB2, 2, 0x400000);
  t.map(0x1000, 1, 0x7000);
  EXPECT_EQ(flat(t.space().mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}})),
            (std::vector<uint64_t>{0x1000, 0x7000, 0x1000, base + kMiB2 - 4096, 0x3ff000, kMiB2 + 4096}));
}

TEST(Riscv64Walk, SaysWhatIsNotThere) {
  Tables t(48);
  t.set(0x5000, 1, uint64_t{0x6000} >> 12 << 10 | (kLeaf & ~uint64_t{1}));
  t.set(0x6000, 1, uint64_t{0x77} << 12 | uint64_t{3} << 7);
  t.set(kMiB2, 2, (uint64_t{1} << 40) >> 12 << 10 | 1);
  EXPECT_EQ(t.space().walk(VirtAddr{0x5123}).end, WalkEnd::prot_none);
  EXPECT_EQ(t.space().walk(VirtAddr{0x6123}).end, WalkEnd::swapped);
  const Walk lost = t.space().walk(VirtAddr{kMiB2});
  EXPECT_EQ(lost.end, WalkEnd::table_missing);
  EXPECT_EQ(lost.missing, PhysAddr{uint64_t{1} << 40});
}

}  // namespace
}  // namespace kvista::machine
