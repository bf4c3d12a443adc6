// The census over whole images: sections, holes, what is missing, levels, the check against the zones.
#include "pages/census.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>

#include "base/error.h"
#include "image/open.h"
#include "images/image.h"
#include "images/temporary.h"
#include "pages/frame_scan.h"
#include "pages/zones.h"

namespace kvista::test {
namespace {

using pages::Census;
using pages::ClassByte;
using pages::PageClass;
using testing::HasSubstr;

// A described image on disk, opened.
class Opened {
 public:
  explicit Opened(const std::string& description) : image_(description) {
    image_.write(directory_.file("vmcore"));
    machine_ =
        std::make_unique<machine::Machine>(image::open_image(directory_.file("vmcore")), machine::Options{});
  }
  machine::Machine& machine() { return *machine_; }
  const test::TestImage& image() const { return image_; }
  Census census(const pages::CensusOptions& options = {}) { return pages::take_census(*machine_, options); }

  /// The classes of all frames, by number.
  std::vector<ClassByte> classes(unsigned threads = 1) {
    const pages::FrameScan scan(*machine_, {threads, true});
    std::vector<ClassByte> all;
    std::mutex lock;
    scan.run([&](const pages::FrameBlock& block, unsigned) {
      const std::lock_guard guard(lock);
      all.resize(std::max<size_t>(all.size(), block.first.value + block.classes.size()));
      std::copy(block.classes.begin(), block.classes.end(),
                all.begin() + static_cast<ptrdiff_t>(block.first.value));
    });
    return all;
  }

 private:
  TemporaryDirectory directory_;
  test::TestImage image_;
  std::unique_ptr<machine::Machine> machine_;
};

uint64_t sum_of_rows(const Census& census) {
  uint64_t sum = 0;
  for (const pages::ClassInfo& info : pages::class_infos()) sum += census.count(info.page_class);
  return sum;
}

constexpr uint64_t kRamFrames = 0x4000 - 0x61;  // the default: 64 MiB without 0x9f000 to 0x100000

const std::string kBusy =
    "struct_page layout=7.2\n"
    "contents random 0x400000-0x1000000\ncontents zero 0x900000-0x940000\n"
    "pages 0x400-0x7ff class=buddy order=10\npages 0x800-0x8ff class=lru\npages 0x900-0x97f class=lru "
    "private\n"
    "pages 0xa00-0xbff class=hugetlb order=9\npages 0xc00-0xc7f class=anon\npages 0xd00-0xd3f class=slab "
    "order=2\n"
    "pages 0xe00-0xe0f class=offline\npages 0xe10-0xe13 class=hwpoison\npages 0xf00-0xfff class=kernel\n"
    "pages 0x1000-0x13ff class=unaccepted order=10\n";

TEST(Census, EachFrameIsInOneRow) {
  Opened opened(kBusy);
  const Census census = opened.census();
  EXPECT_EQ(census.total(), kRamFrames);
  EXPECT_EQ(sum_of_rows(census), kRamFrames);
  uint64_t visited = 0;
  for (const ClassByte byte : opened.classes()) visited += byte != 0 ? 1 : 0;
  EXPECT_EQ(visited, kRamFrames);
  EXPECT_EQ(census.count(PageClass::free), 2048U);
  EXPECT_EQ(census.count_flagged(PageClass::free, pages::kFlagSpecial), 1024U);
  EXPECT_EQ(census.count(PageClass::user), 512U + 128);
  EXPECT_EQ(census.count(PageClass::non_pri_cache), 256U);
  EXPECT_EQ(census.count(PageClass::pri_cache), 128U);
  EXPECT_EQ(census.count(PageClass::offline), 16U);
  EXPECT_EQ(census.count(PageClass::hwpoison), 4U);
  EXPECT_EQ(census.gaps.unread(), 0U);
  EXPECT_EQ(census.gaps.without_struct, 0U);
  EXPECT_EQ(census.gaps.without_section, 0U);
}

TEST(Census, OneThreadIsFourThreads) {
  Opened opened("ram 0x0-0x9f000 0x100000-0x20000000\n" + kBusy);
  const Census one = opened.census({1, true, false});
  for (const unsigned threads : {2U, 4U, 200U}) {
    const Census many = opened.census({threads, true, false});
    EXPECT_EQ(one.by_byte, many.by_byte);
    for (unsigned level = 0; level < pages::kLevels; ++level)
      EXPECT_EQ(one.dumpable(level).pages, many.dumpable(level).pages);
  }
  EXPECT_EQ(opened.classes(1), opened.classes(4));
}

// --- levels ---

void check_level_table(const Census& census) {
  EXPECT_EQ(census.dumpable(0).pages,
            census.total() - census.count(PageClass::offline) - census.count(PageClass::hwpoison));
  EXPECT_EQ(census.dumpable(31).pages,
            census.count(PageClass::kern_data) + census.count(PageClass::no_struct_page));
  for (unsigned level = 0; level < pages::kLevels; ++level)
    for (unsigned bit = 1; bit < pages::kLevels; bit <<= 1)
      EXPECT_LE(census.dumpable(level | bit).pages, census.dumpable(level).pages) << level << " and " << bit;
  // Bit 4 takes all cache, with or without bit 2.
  for (unsigned level = 0; level < pages::kLevels; ++level)
    EXPECT_TRUE((level & 4U) == 0 || census.dumpable(level).pages == census.dumpable(level | 2U).pages)
        << level;
}

TEST(CensusLevels, AreConsistent) {
  Opened opened(kBusy);
  check_level_table(opened.census());
  check_level_table(opened.census({1, true, false}));
  check_level_table(opened.census({2, true, true}));
}

TEST(CensusLevels, ExactIsExact) {
  Opened opened(kBusy);
  const Census census = opened.census({1, true, true});
  const auto zeros = [&](PageClass page_class) {
    return census.zero_shares.at(static_cast<size_t>(page_class)).zeros;
  };
  EXPECT_EQ(zeros(PageClass::pri_cache), 64U) << "0x900 to 0x93f of 0x900 to 0x97f";
  EXPECT_EQ(zeros(PageClass::non_pri_cache), 0U);
  EXPECT_EQ(zeros(PageClass::user), 0U);
  EXPECT_EQ(zeros(PageClass::free), 1024U) << "what is not accepted yet is zeros here";
  EXPECT_FALSE(census.dumpable(1).estimate);
  EXPECT_EQ(census.dumpable(1).pages,
            census.dumpable(0).pages - census.count(PageClass::zero) - zeros(PageClass::pri_cache) - 1024);
  EXPECT_EQ(census.dumpable(1).error, 0U);
}

// 65536 frames, of which every second one is looked at.
TEST(CensusLevels, EstimatesAreWithinTheirError) {
  Opened opened(
      "ram 0x0-0x10000000\nmachine direct_map=2m\ncontents random 0x4000000-0x4800000\n"
      "contents random 0x6000000-0x6200000\n"
      "pages 0x4000-0x5fff class=anon\npages 0x6000-0x6fff class=lru\npages 0x8000-0xbfff class=buddy "
      "order=10\n");
  const Census exact = opened.census({1, true, true});
  const Census sampled = opened.census({1, true, false});
  size_t estimates = 0;
  for (unsigned level = 0; level < pages::kLevels; ++level) {
    const pages::LevelCount truth = exact.dumpable(level);
    const pages::LevelCount guess = sampled.dumpable(level);
    EXPECT_FALSE(truth.estimate);
    const uint64_t off = std::max(truth.pages, guess.pages) - std::min(truth.pages, guess.pages);
    EXPECT_LE(off, guess.error) << "level " << level;
    estimates += guess.estimate ? 1 : 0;
    // 27 would keep private cache, of which there is none.
    const bool keeps_some = level != 27 && level != 29 && level != 31;
    EXPECT_EQ(guess.estimate, (level & 1U) != 0 && keeps_some) << "level " << level;
  }
  EXPECT_EQ(estimates, 13U);
}

TEST(CensusLevels, NothingSampledIsAnEstimateOfAllOrNone) {
  Census census;
  census.by_byte.at(pages::to_byte(PageClass::user)) = 1000;
  const pages::LevelCount count = census.dumpable(1);
  EXPECT_TRUE(count.estimate);
  EXPECT_LE(count.pages, 1000U);
  EXPECT_GE(count.pages + count.error, 900U);
  EXPECT_LE(count.pages, count.error + 100);
}

// --- memory ---

TEST(CensusMemory, BeginsAndEndsWithinASection) {
  Opened opened("ram 0x200000-0x9345000 0xa001000-0xc000800\n");
  const Census census = opened.census();
  EXPECT_EQ(census.total(), (0x9345U - 0x200) + (0xc000 - 0xa001)) << "half a frame at the end is not one";
  const auto classes = opened.classes();
  EXPECT_EQ(classes.at(0x1ff), 0);
  EXPECT_NE(classes.at(0x200), 0);
  EXPECT_NE(classes.at(0x9344), 0);
  EXPECT_EQ(classes.at(0x9345), 0);
  EXPECT_EQ(classes.at(0xa000), 0);
  EXPECT_NE(classes.at(0xa001), 0);
  EXPECT_EQ(classes.at(0xc000), 0);
}

TEST(CensusMemory, TheCrashKernelsIsLeftOut) {
  Opened opened("crashkernel 0x3000000-0x3800000\npages 0x3000-0x37ff class=buddy order=10\n");
  EXPECT_EQ(opened.census().total(), kRamFrames - 0x800);
  EXPECT_EQ(opened.census().count(PageClass::free), 0U);
  const auto classes = opened.classes();
  EXPECT_NE(classes.at(0x2fff), 0);
  EXPECT_EQ(classes.at(0x3000), 0);
  EXPECT_EQ(classes.at(0x37ff), 0);
  EXPECT_NE(classes.at(0x3800), 0);
}

// The head of a free block would speak for them, but one of them may be defective.
TEST(CensusMemory, StructPagesThatAreMissingInAFreeBlock) {
  Opened opened("memory_map leaf=4k\nentry 0xffa4cb12800fe000 0\npages 0x3f00-0x3fff class=buddy order=8\n");
  const Census census = opened.census();
  EXPECT_EQ(census.count(PageClass::no_struct_page), 64U);
  EXPECT_EQ(census.count(PageClass::free), 192U) << "the run goes on behind the gap";
  EXPECT_EQ(census.total(), kRamFrames);
}

TEST(CensusMemory, StructPagesThatAreMissing) {
  for (const char* entry : {"0", "0x8000000000000000", "0x800000ff00000063"}) {
    Opened opened(fmt::format("memory_map leaf=4k\nentry 0xffa4cb12800ff000 {}\n", entry));
    const Census census = opened.census();
    EXPECT_EQ(census.count(PageClass::no_struct_page), 64U) << entry;
    EXPECT_EQ(census.gaps.without_struct, 64U) << entry;
    EXPECT_EQ(census.total(), kRamFrames);
  }
  Opened table("entry 0xffa4cb1280000000 level=2 0x40001063\n");
  EXPECT_EQ(table.census().gaps.without_struct, kRamFrames) << "a page table of the memory map";
}

// Of the section from 128 MiB on the table says that it is there, but that it has no struct pages.
TEST(CensusMemory, ASectionWithoutAMemoryMap) {
  constexpr uint64_t kPresentOnly = 1;
  const test::TestImage image("ram 0x0-0xc000000\n");
  const Kernel& kernel = image.kernel();
  const uint64_t roots = kernel.memory().get64(kernel.image_phys(kernel.symbol("mem_section")));
  const uint64_t root = kernel.memory().get64(roots - kernel.page_offset()) - kernel.page_offset();
  ElfDescription elf = elf_of(image.saved());
  ElfSegment& ram = elf.segments.at(0);
  ram.data = [plain = ram.data, at = root + 16 - ram.paddr](const Emit& emit) {
    plain(emit);
    std::array<std::byte, 8> entry{};
    store(entry.data(), kPresentOnly, ByteOrder::little);
    emit(at, entry);
  };
  TemporaryDirectory directory;
  FileSink sink(directory.file("vmcore"));
  write_elf(elf, sink);
  machine::Machine machine(image::open_image(directory.file("vmcore")), {});
  const Census census = pages::take_census(machine, {});
  EXPECT_EQ(census.gaps.without_section, 0x4000U);
  EXPECT_EQ(census.count(PageClass::no_struct_page), 0x4000U);
  EXPECT_EQ(census.total(), 0xc000U);
}

// A ROM, and what a damaged header claims: the kernel knows nothing of either.
TEST(CensusMemory, FramesWithoutASection) {
  Opened opened("memory_map leaf=2m\n");
  TemporaryDirectory directory;
  ElfDescription elf = elf_of(opened.image().saved());
  ElfSegment rom;
  rom.paddr = 0xfffc0000;
  rom.memory_size = 0x40000;
  ElfSegment claim;
  claim.paddr = uint64_t{1} << 45;
  claim.memory_size = uint64_t{1} << 44;
  claim.file_size = 0;
  elf.segments.push_back(rom);
  elf.segments.push_back(claim);
  FileSink sink(directory.file("vmcore"));
  write_elf(elf, sink);
  machine::Machine machine(image::open_image(directory.file("vmcore")), {});
  const Census census = pages::take_census(machine, {});
  EXPECT_EQ(census.gaps.without_section, 0x40U + (uint64_t{1} << 32));
  EXPECT_EQ(census.count(PageClass::no_struct_page), 0x40U + (uint64_t{1} << 32));
  EXPECT_EQ(census.total(), kRamFrames + 0x40 + (uint64_t{1} << 32));
}

TEST(CensusMemory, KernelDataThatIsNotInTheFile) {
  Opened opened("truncate 0x3800000\n");
  const Census census = opened.census();
  EXPECT_GT(census.gaps.unread(), 0x700U);
  EXPECT_EQ(census.total(), kRamFrames);
  EXPECT_GE(census.count(PageClass::kern_data), census.gaps.unread()) << "what is missing is not zeros";
}

// --- runs over sections ---

constexpr uint64_t kGigantic = 0x40000;
constexpr unsigned kGiganticOrder = 18;

// As with hugetlb_free_vmemmap: the memory map of the huge page is one page, again and again.
std::string fold_gigantic_page(const std::string& description) {
  const test::TestImage plain(description);
  const uint64_t vmemmap = plain.kernel().vmemmap() + kGigantic * 64;
  TemporaryDirectory directory;
  plain.write(directory.file("plain"));
  machine::Machine machine(image::open_image(directory.file("plain")), {});
  const auto mapping = machine.kernel_space().translate(VirtAddr{vmemmap});
  if (!mapping) throw std::runtime_error("the memory map is not mapped");
  std::string text = description;
  for (uint64_t page = 1; page < (uint64_t{1} << kGiganticOrder) / 64; ++page)
    text += fmt::format("map {:#x} {:#x}\n", vmemmap + page * 4096, mapping->phys.value);
  return text;
}

TEST(CensusRuns, AGigabytePageOverSections) {
  for (const char* layout : {"5.10", "7.3"}) {
    for (const bool folded : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", layout, folded ? "folded" : "whole"));
      std::string description = fmt::format(
          "struct_page layout={}\nram 0x0-0x88000000\nmemory_map leaf=4k\n"
          "pages {:#x}-{:#x} class=hugetlb order={}\npages 0x80000-0x80fff class=anon\n",
          layout, kGigantic, 2 * kGigantic - 1, kGiganticOrder);
      if (folded) description = fold_gigantic_page(description);
      Opened opened(description);
      for (const unsigned threads : {1U, 4U}) {
        const Census census = opened.census({threads, false, false});
        EXPECT_EQ(census.count_flagged(PageClass::user, pages::kFlagHugetlb), kGigantic);
        EXPECT_EQ(census.count(PageClass::user), kGigantic + 0x1000);
        EXPECT_EQ(census.total(), 0x88000U);
      }
    }
  }
}

// Struct pages of 56 bytes straddle pages, and no piece ends between a head and the page that tells its
// order.
TEST(CensusRuns, OddSizesOfStructPage) {
  for (const unsigned size : {56U, 72U, 80U}) {
    Opened opened(fmt::format(
        "struct_page size={}\nram 0x0-0x8000000\npages 0x3000-0x7fff class=anon order=2\n", size));
    EXPECT_EQ(opened.census().count(PageClass::user), 0x5000U) << size;
  }
}

// --- the check against the free lists ---

TEST(FreeCheck, Equal) {
  Opened opened("pages 0x400-0x43f class=buddy order=3\npages 0x500-0x5ff class=buddy order=8\n");
  const pages::FreeCheck check = opened.census().free_check;
  EXPECT_EQ(check.counted, 64U + 256);
  EXPECT_EQ(check.free_lists, std::optional<uint64_t>(64 + 256));
  EXPECT_EQ(check.why_not, "");
}

TEST(FreeCheck, UnacceptedMemoryIsInNoFreeList) {
  Opened opened(
      "struct_page layout=7.2\npages 0x400-0x43f class=buddy order=3\npages 0x800-0xbff class=unaccepted "
      "order=10\n");
  const Census census = opened.census();
  EXPECT_EQ(census.count(PageClass::free), 64U + 1024);
  EXPECT_EQ(census.free_check.counted, 64U);
  EXPECT_EQ(census.free_check.free_lists, std::optional<uint64_t>(64));
}

TEST(FreeCheck, Different) {
  Opened opened(
      "pages 0x400-0x43f class=buddy order=3\nzone DMA order=10 add=1\nzone DMA32 order=0 add=-1\n");
  const pages::FreeCheck check = opened.census().free_check;
  EXPECT_EQ(check.counted, 64U);
  EXPECT_EQ(check.free_lists, std::optional<uint64_t>(64 + 1024 - 1));
}

// As arm64's note is: the array of nodes is found by the kernel's own symbols.
TEST(FreeCheck, FindsNodesThatTheNoteDoesNotName) {
  Opened opened(
      "pages 0x400-0x43f class=buddy order=3\nnote omit SYMBOL(node_data)\nnote omit LENGTH(node_data)\n"
      "symbols omit contig_page_data\n");
  const pages::FreeCheck check = opened.census().free_check;
  EXPECT_EQ(check.free_lists, std::optional<uint64_t>(64)) << check.why_not;
}

TEST(FreeCheck, CannotBeRead) {
  const std::vector<std::pair<const char*, const char*>> kDamage = {
      {"note omit SYMBOL(node_data)\nsymbols omit contig_page_data node_data\n", "contig_page_data"},
      {"note set SYMBOL(node_data)=1234\n", "node_data at 0x1234 is not in the image"},
      {"note omit SIZE(pglist_data)\n", "SIZE(pglist_data)"},
      {"note set SIZE(zone)=99999999999\n", "SIZE(zone)"},
      {"note set SIZE(zone)=100\n", "does not fit"},
      {"note set LENGTH(zone.free_area)=0\n", "LENGTH(zone.free_area)"},
      {"note set LENGTH(zone.free_area)=33\n", "LENGTH(zone.free_area)"},
      {"note set LENGTH(free_area.free_list)=50\n", "does not fit"},
      {"note set OFFSET(pglist_data.nr_zones)=0\n", "no node has a zone"},
      {"note set LENGTH(node_data)=99999999\n", "LENGTH(node_data)"},
  };
  for (const auto& [damage, reason] : kDamage) {
    Opened opened(std::string("pages 0x400-0x43f class=buddy order=3\n") + damage);
    const pages::FreeCheck check = opened.census().free_check;
    EXPECT_FALSE(check.free_lists) << damage;
    EXPECT_THAT(check.why_not, HasSubstr(reason)) << damage;
    EXPECT_EQ(check.counted, 64U) << "the census itself does not need the zones";
  }
}

}  // namespace
}  // namespace kvista::test
