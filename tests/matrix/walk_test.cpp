// Walks through the page tables of described kernels.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "arch/x86_64/paging.h"
#include "image/open.h"
#include "machine/address_space.h"
#include "matrix/subject.h"

namespace kvista::test {
namespace {

using machine::AddressSpace;
using machine::Walk;
using machine::WalkEnd;

constexpr uint64_t kDirect = 0xff38ad6400000000;  // the default with 5 levels
constexpr uint64_t kFree = 0xff50000000000000;    // nothing is mapped there
constexpr uint64_t kImage = 0xffffffff88a00000;
constexpr uint64_t kLoad = 0x2000000;

// Opened without any facts: the walk alone is tested.
class WalkTest : public testing::Test {
 protected:
  AddressSpace open(const std::string& description) {
    built_ = std::make_unique<TestImage>(description);
    built_->write(directory_.file("image"));
    image_ = image::open_image(directory_.file("image"));
    const MachineLine& machine = built_->kernel().description().machine;
    return {*image_, PhysAddr{built_->kernel().root()},
            arch::x86_64::make_paging(machine.levels, machine.sme_mask)};
  }
  const Kernel& kernel() const { return built_->kernel(); }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<TestImage> built_;
  std::unique_ptr<image::MemoryImage> image_;
};

TEST_F(WalkTest, StepsOfAllLevels) {
  const AddressSpace space = open("machine levels=5\n");
  const Walk walk = space.walk(VirtAddr{kDirect + 0x5123});
  EXPECT_EQ(walk.end, WalkEnd::mapped);
  EXPECT_EQ(walk.phys.value, 0x5123U);
  EXPECT_EQ(walk.page_size, 4096U);
  ASSERT_EQ(walk.steps.size(), 5U);
  for (unsigned i = 0; i < 5; ++i) {
    EXPECT_EQ(walk.steps[i].level, 5 - i);
    EXPECT_EQ(walk.steps[i].raw, kernel().memory().get64(walk.steps[i].entry_at.value));
  }
  EXPECT_EQ(walk.steps[0].entry_at.value, kernel().root() + (kDirect >> 48 & 511) * 8);
}

TEST_F(WalkTest, FourLevels) {
  const AddressSpace space = open("machine levels=4\n");
  const Walk walk = space.walk(VirtAddr{kernel().page_offset() + 0x200000});
  EXPECT_EQ(walk.end, WalkEnd::mapped);
  EXPECT_EQ(walk.steps.size(), 3U);
  EXPECT_EQ(walk.page_size, 0x200000U);
  EXPECT_EQ(walk.phys.value, 0x200000U);
  // With 5 levels this would be an address; with 4 it is none.
  EXPECT_EQ(space.walk(VirtAddr{kDirect}).end, WalkEnd::not_canonical);
  EXPECT_EQ(space.walk(VirtAddr{0x0000800000000000}).end, WalkEnd::not_canonical);
  EXPECT_EQ(space.walk(VirtAddr{0x00007fffffffffff}).end, WalkEnd::not_mapped);
}

TEST_F(WalkTest, LeavesOfAllSizes) {
  const AddressSpace space =
      open("ram 0x0-0x9f000 0x100000-0xc0000000\nmachine direct_map=1g\nmemory_map repeat=1\n");
  struct Expected {
    uint64_t phys, page_size;
  };
  for (const Expected& e :
       {Expected{0x1008, 0x1000}, Expected{0x100000, 0x1000}, Expected{0x200000, 0x200000},
        Expected{0x3fffffff, 0x200000}, Expected{0x40000000, 0x40000000}, Expected{0x7fffffff, 0x40000000},
        Expected{0xbfffffff, 0x40000000}}) {
    const Walk walk = space.walk(VirtAddr{kDirect + e.phys});
    EXPECT_EQ(walk.end, WalkEnd::mapped) << e.phys;
    EXPECT_EQ(walk.phys.value, e.phys);
    EXPECT_EQ(walk.page_size, e.page_size);
    const auto mapping = space.translate(VirtAddr{kDirect + e.phys});
    EXPECT_EQ(mapping->size, e.page_size - e.phys % e.page_size);
  }
  const auto runs = space.mappings({VirtAddr{kDirect}, VirtAddr{kDirect + 0xffffffff}});
  ASSERT_EQ(runs.size(), 2U) << "pages of all sizes are joined";
  EXPECT_EQ(runs[0].size, 0x9f000U);
  EXPECT_EQ(runs[1].virt.value, kDirect + 0x100000);
  EXPECT_EQ(runs[1].phys.value, 0x100000U);
  EXPECT_EQ(runs[1].size, 0xc0000000U - 0x100000);
}

TEST_F(WalkTest, ProtNoneHasItsFrameInverted) {
  for (const uint64_t mask : {uint64_t{0}, uint64_t{1} << 47, uint64_t{1} << 51}) {
    const AddressSpace space =
        open(fmt::format("machine sme_mask={:#x}\n"
                         "prot_none {:#x} 0x345000 leaf=4k\nprot_none {:#x} 0x600000 leaf=2m\n"
                         "prot_none {:#x} 0x40000000 leaf=1g\n",
                         mask, kFree, kFree + 0x200000, kFree + 0x40000000));
    struct Expected {
      uint64_t virt, phys, page_size;
    };
    for (const Expected& e :
         {Expected{kFree + 0x10, 0x345010, 0x1000}, Expected{kFree + 0x212345, 0x612345, 0x200000},
          Expected{kFree + 0x40123456, 0x40123456, 0x40000000}}) {
      const Walk walk = space.walk(VirtAddr{e.virt});
      EXPECT_EQ(walk.end, WalkEnd::prot_none) << mask;
      EXPECT_EQ(walk.phys.value, e.phys) << mask;
      EXPECT_EQ(walk.page_size, e.page_size);
      EXPECT_FALSE(space.translate(VirtAddr{e.virt})) << "the kernel itself could not read it";
    }
    EXPECT_TRUE(space.mappings({VirtAddr{kFree}, VirtAddr{kFree + 0x7fffffff}}).empty());
  }
}

TEST_F(WalkTest, SwapEntries) {
  const AddressSpace space = open(
      "swap 0x7f0000001000 0x12345 type=1\nswap 0x7f0000002000 0x0 type=0\n"
      "swap 0x7f0000003000 0x3ffffffffffff type=31\nmap 0x7f0000004000 0x5000\n");
  struct Expected {
    uint64_t virt, type, offset;
  };
  for (const Expected& e : {Expected{0x7f0000001000, 1, 0x12345}, Expected{0x7f0000002000, 0, 0}}) {
    const Walk walk = space.walk(VirtAddr{e.virt});
    EXPECT_EQ(walk.end, WalkEnd::swapped);
    EXPECT_EQ(walk.steps.back().entry.swap_type, e.type);
    EXPECT_EQ(walk.steps.back().entry.swap_offset, e.offset);
  }
  EXPECT_EQ(space.walk(VirtAddr{0x7f0000003000}).steps.back().entry.swap_type, 31U);
  EXPECT_EQ(space.walk(VirtAddr{0x7f0000000000}).end, WalkEnd::not_mapped);
  EXPECT_EQ(space.walk(VirtAddr{0x7f0000004000}).end, WalkEnd::mapped);
}

TEST_F(WalkTest, MissingTables) {
  const AddressSpace space =
      open(fmt::format("missing {:#x} level=2\nmap {:#x} 0x5000\n", kFree, kFree + 0x200000));
  const Walk walk = space.walk(VirtAddr{kFree + 0x7008});
  EXPECT_EQ(walk.end, WalkEnd::table_missing);
  EXPECT_EQ(walk.steps.size(), 4U) << "the entry that points outside is shown";
  EXPECT_EQ(walk.missing.value, 0x4001000U + 7 * 8);
  EXPECT_EQ(walk.missing_state, image::PageState::beyond);
  size_t missing = 0;
  const auto runs = space.mappings({VirtAddr{kFree}, VirtAddr{kFree + 0x3fffffff}}, &missing);
  EXPECT_EQ(missing, 1U);
  ASSERT_EQ(runs.size(), 1U) << "what is behind the missing table is still found";
  EXPECT_EQ(runs[0].virt.value, kFree + 0x200000);
}

TEST_F(WalkTest, ReadsStopWhereMemoryEnds) {
  const AddressSpace space =
      open(fmt::format("contents pattern 0x300000-0x304000\nmap {0:#x} 0x301000\n"
                       "map {1:#x} 0x303000\nprot_none {2:#x} 0x300000\n",
                       kFree, kFree + 0x1000, kFree + 0x2000));
  std::array<std::byte, 0x3000> bytes{};
  const auto read = space.read(VirtAddr{kFree + 8}, bytes);
  EXPECT_EQ(read.done, 0x2000U - 8);
  EXPECT_EQ(read.end, WalkEnd::prot_none);
  EXPECT_EQ(load<uint64_t>(bytes.data(), ByteOrder::little), 0x301008U);
  EXPECT_EQ(load<uint64_t>(&bytes.at(0x1000 - 8), ByteOrder::little), 0x303000U)
      << "the next page is elsewhere";
}

TEST_F(WalkTest, ReadsTellWhatTheImageLacks) {
  // Mapped, but behind the end of memory.
  const AddressSpace space = open(fmt::format("map {:#x} 0x8000000\n", kFree));
  std::array<std::byte, 16> bytes{};
  const auto read = space.read(VirtAddr{kFree}, bytes);
  EXPECT_EQ(read.done, 0U);
  EXPECT_EQ(read.end, WalkEnd::mapped);
  EXPECT_EQ(read.state, image::PageState::beyond);
}

TEST_F(WalkTest, RangesAreClipped) {
  const AddressSpace space = open("");
  const auto runs = space.mappings({VirtAddr{kImage + 0x1234}, VirtAddr{kImage + 0x345677}});
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].virt.value, kImage + 0x1234);
  EXPECT_EQ(runs[0].phys.value, kLoad + 0x1234);
  EXPECT_EQ(runs[0].size, 0x345678U - 0x1234);
  const auto first = space.first_mapped({VirtAddr{0xff00000000000000}, VirtAddr{kImage}});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->virt.value, kDirect);
  EXPECT_FALSE(space.first_mapped({VirtAddr{0}, VirtAddr{0x00ffffffffffffff}}));
}

// The whole address space, both halves: nothing is found twice, and every run is where its first page is.
TEST_F(WalkTest, WholeAddressSpace) {
  for (const unsigned levels : {4U, 5U}) {
    const AddressSpace space = open(fmt::format("machine levels={}\nmap 0x400000 0x5000\n", levels));
    const auto runs = space.mappings({VirtAddr{0}, VirtAddr{UINT64_MAX}});
    ASSERT_GE(runs.size(), 5U);
    EXPECT_EQ(runs.front().virt.value, 0x400000U);
    EXPECT_EQ(runs.back().virt.value, kImage);
    for (size_t i = 0; i < runs.size(); ++i) {
      EXPECT_EQ(space.walk(runs[i].virt).phys, runs[i].phys);
      if (i > 0) {
        EXPECT_GE(runs[i].virt, runs[i - 1].virt + runs[i - 1].size);
      }
    }
  }
}

}  // namespace
}  // namespace kvista::test
