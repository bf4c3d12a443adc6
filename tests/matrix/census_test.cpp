// The class of each frame of described kernels of all layouts, one by one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "matrix/subject.h"
#include "pages/census.h"
#include "pages/frame_scan.h"

namespace kvista::test {
namespace {

using pages::PageClass;

// Every class that a layout can have, and what is easily mistaken for another one.
std::string describe_pages(const KernelLayout& layout) {
  std::string text =
      "pages 0x400-0x7ff class=buddy order=10\n"
      "pages 0x800-0x83f class=buddy order=3\n"
      "pages 0x840-0x87f class=lru\n"
      "pages 0x880-0x8bf class=lru private\n"
      "pages 0x8c0-0x8cf class=lru swapbacked\n"    // shared memory
      "pages 0x8d0-0x8df class=lru isolated\n"      // off the list for a moment: not seen as cache
      "pages 0x8e0-0x8e7 class=kernel swapcache\n"  // the bit means something else without swapbacked
      "pages 0x8e8-0x8ef class=kernel swapcache swapbacked\n"
      "pages 0x900-0x97f class=anon\n"
      "pages 0x980-0x98f class=anon swapcache\n"
      "pages 0x990-0x99f class=anon isolated\n"
      "pages 0x9a0-0x9af class=ksm\n"
      "pages 0x9b0-0x9bf class=anon waiters\n"  // bit 7, which older tools take for PG_slab
      "pages 0x9c0-0x9cf class=slab order=4\n"
      "pages 0x9d0-0x9df class=free_pcp\n"
      "pages 0xa00-0xbff class=hugetlb order=9\n"
      "pages 0xc00-0xdff class=anon order=9\n"
      "pages 0xe00-0xfff class=hugetlb order=9 anon\n"
      "pages 0x1000-0x100f class=lru order=4\n"
      "pages 0x1010-0x101f class=lru private order=4\n"
      "pages 0x1020-0x103f class=slab order=3\n"
      "pages 0x3f20-0x3f2f class=pagetable\n"
      "pages 0x3f30-0x3f3f class=reserved\n"
      "contents random 0x500000-0x4000000\n"
      "contents zero 0x3f00000-0x3f08000\n";
  if (layout.page.offline) text += "pages 0x3f40-0x3f4f class=offline\n";
  if (layout.page.exports_hwpoison) text += "pages 0x3f50-0x3f53 class=hwpoison\n";
  if (layout.page.unaccepted) text += "pages 0x3800-0x3bff class=unaccepted order=10\n";
  return text;
}

bool is_zero(const Kernel& kernel, uint64_t pfn) {
  std::array<std::byte, kPage> bytes{};
  kernel.memory().read(pfn * kPage, bytes);
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

PageClass expected(const Kernel& kernel, uint64_t pfn) {
  if (!kernel.is_ram(pfn * kPage)) return PageClass::not_in_image;
  const PageRun run = class_of(kernel, pfn);
  const bool cache = (run.kind == "lru" && !run.flags.contains("isolated")) ||
                     (run.flags.contains("swapcache") && run.flags.contains("swapbacked"));
  static const std::map<std::string, PageClass> kPlain = {
      {"buddy", PageClass::free},       {"unaccepted", PageClass::free}, {"anon", PageClass::user},
      {"ksm", PageClass::user},         {"hugetlb", PageClass::user},    {"offline", PageClass::offline},
      {"hwpoison", PageClass::hwpoison}};
  if (const auto at = kPlain.find(run.kind); at != kPlain.end()) return at->second;
  if (cache) return run.flags.contains("private") ? PageClass::pri_cache : PageClass::non_pri_cache;
  return is_zero(kernel, pfn) ? PageClass::zero : PageClass::kern_data;
}

// Scans all frames; returns how many were compared.
size_t compare_frames(Subject& subject) {
  const Kernel& kernel = subject.image().kernel();
  const pages::FrameScan scan(subject.machine(), {});
  size_t compared = 0;
  size_t shown = 0;
  scan.run([&](const pages::FrameBlock& block, unsigned) {
    for (size_t i = 0; i < block.classes.size(); ++i) {
      const uint64_t pfn = block.first.value + i;
      const PageClass found = pages::class_of(block.classes[i]);
      const PageClass right = expected(kernel, pfn);
      ++compared;
      if (found == right || ++shown > 5) continue;
      ADD_FAILURE() << fmt::format("frame {:#x} ({}): class {}, should be {}", pfn,
                                   class_of(kernel, pfn).kind, static_cast<int>(found),
                                   static_cast<int>(right));
    }
  });
  return compared;
}

TEST(CensusMatrix, EachFrameOfEachLayout) {
  size_t compared = 0;
  for (const KernelLayout& layout : layouts()) {
    for (const char* segments : {"qemu", "vmcore", "kcore"}) {
      SCOPED_TRACE(fmt::format("{} as {}", layout.name, segments));
      Subject subject(fmt::format("struct_page layout={}\nsegments {}\n{}", layout.name, segments,
                                  describe_pages(layout)));
      compared += compare_frames(subject);
      const pages::Census census = pages::take_census(subject.machine(), {});
      EXPECT_EQ(census.total(), 0x4000U - 0x61) << "memory from 0x9f000 to 0x100000 is none";
      EXPECT_EQ(census.free_check.free_lists, std::optional(uint64_t{1024 + 64}))
          << census.free_check.why_not;
      EXPECT_EQ(census.free_check.counted, 1024U + 64);
      EXPECT_EQ(census.count_flagged(PageClass::user, pages::kFlagHugetlb), 1024U);
    }
  }
  fmt::print("census: {} frames compared\n", compared);
  EXPECT_GE(compared, size_t{18} * 16000);
}

// A free list that says something else than the struct pages is reported.
TEST(CensusMatrix, ZonesThatLie) {
  Subject subject("pages 0x400-0x43f class=buddy order=3\nzone DMA order=3 add=-1\n");
  const pages::Census census = pages::take_census(subject.machine(), {});
  EXPECT_EQ(census.free_check.counted, 64U);
  EXPECT_EQ(census.free_check.free_lists, std::optional(uint64_t{56}));
}

TEST(CensusMatrix, SeveralNodes) {
  Subject subject(
      "node 0 0x0-0x2000000\nnode 5 0x2000000-0x3000000\nnode 70 0x3000000-0x4000000\n"
      "pages 0x400-0x43f class=buddy order=3\npages 0x2f00-0x2fff class=buddy order=8\n"
      "pages 0x3f00-0x3fff class=buddy order=4\n");
  const pages::Census census = pages::take_census(subject.machine(), {});
  EXPECT_EQ(census.free_check.counted, 64U + 256 + 256);
  EXPECT_EQ(census.free_check.free_lists, std::optional(uint64_t{64 + 256 + 256}))
      << census.free_check.why_not;
}

// Other sizes of struct page than 64 bytes are not powers of two, and straddle pages.
TEST(CensusMatrix, SizesOfStructPage) {
  for (const unsigned size : {56U, 72U, 80U, 96U, 128U}) {
    SCOPED_TRACE(size);
    Subject subject(
        fmt::format("struct_page size={}\npages 0x400-0x43f class=buddy order=3\n"
                    "pages 0x900-0x97f class=anon\npages 0xa00-0xbff class=hugetlb order=9\n",
                    size));
    EXPECT_GE(compare_frames(subject), 16000U);
    EXPECT_EQ(subject.warnings(), "");
  }
}

// The crash kernel's memory is left out wherever the image holds it.
TEST(CensusMatrix, CrashKernelIsLeftOut) {
  for (const char* segments : {"qemu", "vmcore", "kcore"}) {
    SCOPED_TRACE(segments);
    Subject subject(fmt::format("segments {}\ncrashkernel 0x3000000-0x3800000\n", segments));
    EXPECT_EQ(pages::take_census(subject.machine(), {}).total(), 0x4000U - 0x61 - 0x800);
  }
}

// The memory map is in pages of 4 KiB, and partly gone.
TEST(CensusMatrix, HolesInTheMemoryMap) {
  Subject subject("memory_map leaf=4k\nentry 0xffa4cb1280008000 0 level=1\n");
  const pages::Census census = pages::take_census(subject.machine(), {});
  EXPECT_EQ(census.count(PageClass::no_struct_page), 64U) << "one page of struct pages";
  EXPECT_EQ(census.total(), 0x4000U - 0x61);
}

}  // namespace
}  // namespace kvista::test
