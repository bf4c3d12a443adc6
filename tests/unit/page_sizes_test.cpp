// Kernels whose pages are larger than 4 KiB, or whose addresses have other bits: each page is in the right
// class, and dumps hold it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "dump/estimate.h"
#include "dump/verify.h"
#include "image/kdump_header.h"
#include "pages/census.h"
#include "unit/dump_fixture.h"

namespace kvista::dump {
namespace {

using pages::PageClass;

struct Machine {
  const char* name;
  const char* line;
  uint64_t page_size;
  uint64_t ram;
  const char* more = "";
};
std::ostream& operator<<(std::ostream& out, const Machine& machine) {
  return out << machine.line;
}

// Notes of kernels before 5.4 do not say how large memory sections are.
constexpr const char* kBefore54 =
    "struct_page layout=5.10\n"
    "note omit NUMBER(SECTION_SIZE_BITS) NUMBER(MAX_PHYSMEM_BITS) NUMBER(TCR_EL1_T1SZ)\n"
    "note set NUMBER(PG_hwpoison)=23";
constexpr uint64_t kArm64Ram = 0x40000000;
constexpr uint64_t kRiscv64Ram = 0x80000000;
constexpr uint64_t kS390xRam = 0;
constexpr uint64_t kRamSize = 0x4000000;

// Every class, as frames from the start of RAM on: the kernel image is 32 MiB from there.
std::string description_of(const Machine& machine) {
  const uint64_t first = machine.ram / machine.page_size;
  std::string text =
      fmt::format("{}\n{}\nram {:#x}-{:#x}\ncontents pattern {:#x}-{:#x}\n", machine.line, machine.more,
                  machine.ram, machine.ram + kRamSize, machine.ram, machine.ram + 512 * machine.page_size);
  const auto pages = [&](uint64_t from, uint64_t count, const char* what) {
    text += fmt::format("pages {:#x}-{:#x} class={}\n", first + from, first + from + count - 1, what);
  };
  pages(0, 64, "buddy order=6");
  pages(64, 32, "anon");
  pages(96, 32, "lru");
  pages(128, 32, "lru private");
  pages(160, 4, "hwpoison");
  pages(164, 4, "offline");
  pages(176, 16, "slab order=2");
  pages(256, 256, "hugetlb order=8");
  return text;
}

class PageSizes : public Dumps, public testing::WithParamInterface<Machine> {
 protected:
  PageSizes() { make(description_of(GetParam())); }
};

TEST_P(PageSizes, EachFrameIsInItsClass) {
  machine::Machine machine(image::open_image(source_path_), machine::Options{});
  const pages::Census census = pages::take_census(machine, {2, true, true});
  EXPECT_EQ(census.page_size, GetParam().page_size);
  EXPECT_EQ(census.total(), kRamSize / GetParam().page_size);
  EXPECT_EQ(census.count(PageClass::free), 64U);
  EXPECT_EQ(census.free_check.free_lists, 64U);
  EXPECT_EQ(census.count(PageClass::user), 32U + 256);
  EXPECT_EQ(census.count_flagged(PageClass::user, pages::kFlagHugetlb), 256U);
  EXPECT_EQ(census.count(PageClass::non_pri_cache), 32U);
  EXPECT_EQ(census.count(PageClass::pri_cache), 32U);
  EXPECT_EQ(census.count(PageClass::hwpoison), 4U);
  EXPECT_EQ(census.count(PageClass::offline), 4U);
  EXPECT_EQ(census.count_flagged(PageClass::kern_data, pages::kFlagSlab), 16U);
  EXPECT_EQ(census.gaps.unread(), 0U);
  EXPECT_EQ(census.gaps.without_struct, 0U);
  EXPECT_EQ(census.gaps.without_section, 0U);
  // No page of the pattern is zero, and what is neither of it nor written to is.
  EXPECT_EQ(census.dumpable(pages::kLevelZero).pages,
            census.dumpable(0).pages - census.count(PageClass::zero));
  EXPECT_THAT(machine.warnings(), testing::IsEmpty());
  for (const auto& [name, value] : described_->truth()) {
    const auto id = machine::fact_by_name(name);
    ASSERT_TRUE(id) << name;
    const auto& fact = machine.fact(*id);
    // Before 6.0 unknown, but for s390x.
    if (name == "vmalloc" && !fact.value && !machine.note().number("VMALLOC_END")) continue;
    ASSERT_TRUE(fact.value) << name;
    if (name == "crash_time") continue;  // none
    EXPECT_EQ(machine::format(*fact.value, machine::info_of(*id).form), value) << name;
  }
}

TEST_P(PageSizes, DumpsHoldThePagesThatTheyShould) {
  for (const Format format : {Format::kdump, Format::elf})
    for (const unsigned level : {0U, 1U, 31U}) {
      SCOPED_TRACE(fmt::format("{}, level {}", format == Format::elf ? "ELF" : "kdump", level));
      DumpRequest wanted = request(level);
      wanted.format = format;
      wanted.outputs = {directory_.file(format == Format::elf ? "elf" : "kdump")};
      if (format == Format::elf) wanted.codec.reset();
      const DumpResult written = dump(wanted);
      EXPECT_EQ(written.lost(), 0U);
      EXPECT_EQ(written.frames, kRamSize / GetParam().page_size);
      if (level != 1) expect_right_pages(wanted.outputs.front(), level & ~pages::kLevelZero);
      const VerifyResult checked = verify(*image::open_image(wanted.outputs.front()), {2, {}});
      EXPECT_TRUE(checked.is_whole());
      EXPECT_EQ(checked.page_size, GetParam().page_size);
      EXPECT_EQ(checked.frames(), written.frames);
    }
}

// Segments say where the direct map has their memory, as those of the kernel's own core files do.
TEST_P(PageSizes, SegmentsOfElfFilesAreOfTheDirectMap) {
  DumpRequest wanted = request(31);
  wanted.format = Format::elf;
  wanted.codec.reset();
  dump(wanted);
  machine::Machine machine(image::open_image(wanted.outputs.front()), machine::Options{});
  auto space = machine.kernel_space();
  size_t compared = 0;
  for (const image::Segment& segment : machine.image().segments()) {
    // Where memory is mapped to itself, both addresses are one, which files of QEMU have without any meaning.
    const bool is_one = described_->kernel().page_offset() == 0;
    ASSERT_TRUE(segment.paddr && segment.vaddr.has_value() != is_one);
    const auto mapping = space.translate(segment.vaddr.value_or(VirtAddr{segment.paddr->value}));
    if (!mapping) continue;  // not all of it is mapped in these kernels
    EXPECT_EQ(mapping->phys, *segment.paddr);
    ++compared;
  }
  EXPECT_GE(compared, 3U);
}

TEST_P(PageSizes, BlocksOfKdumpFilesArePages) {
  const DumpRequest wanted = request(31);
  dump(wanted);
  EXPECT_EQ(image::read_kdump_header(File::open(wanted.outputs.front())).block_size, GetParam().page_size);
}

TEST_P(PageSizes, EstimatesCountTheirBytes) {
  DumpRequest wanted = request(8);
  wanted.codec.reset();
  const Estimate estimated = estimate(open(source_path_), wanted, 100000, 0);
  EXPECT_EQ(estimated.page_size, GetParam().page_size);
  const DumpResult written = dump(wanted);
  EXPECT_EQ(estimated.pages, written.planned);
  // All pages are in the sample.
  EXPECT_NEAR(estimated.bytes, static_cast<double>(written.bytes), static_cast<double>(GetParam().page_size));
}

INSTANTIATE_TEST_SUITE_P(
    Machines, PageSizes,
    testing::Values(
        Machine{"arm64_64k_42", "machine arm64 page=64K va_bits=42", 65536, kArm64Ram},
        Machine{"arm64_64k_48", "machine arm64 page=64K va_bits=48", 65536, kArm64Ram},
        Machine{"arm64_64k_52", "machine arm64 page=64K va_bits=52", 65536, kArm64Ram},
        Machine{"arm64_64k_48_of_52", "machine arm64 page=64K va_bits=52 actual_bits=48", 65536, kArm64Ram},
        Machine{"arm64_64k_42_before_5_4", "machine arm64 page=64K va_bits=42 unflipped", 65536, kArm64Ram,
                kBefore54},
        Machine{"arm64_4k_48_before_5_4", "machine arm64 va_bits=48 unflipped", 4096, kArm64Ram, kBefore54},
        Machine{"arm64_16k_36", "machine arm64 page=16K va_bits=36", 16384, kArm64Ram},
        Machine{"arm64_16k_47", "machine arm64 page=16K va_bits=47", 16384, kArm64Ram},
        Machine{"arm64_16k_48", "machine arm64 page=16K va_bits=48", 16384, kArm64Ram},
        Machine{"arm64_16k_52", "machine arm64 page=16K va_bits=52", 16384, kArm64Ram},
        Machine{"arm64_16k_47_of_52", "machine arm64 page=16K va_bits=52 actual_bits=47", 16384, kArm64Ram},
        Machine{"arm64_4k_39", "machine arm64 va_bits=39", 4096, kArm64Ram},
        Machine{"arm64_4k_48", "machine arm64 va_bits=48", 4096, kArm64Ram},
        Machine{"arm64_4k_52", "machine arm64 va_bits=52", 4096, kArm64Ram},
        Machine{"arm64_4k_48_of_52", "machine arm64 va_bits=52 actual_bits=48", 4096, kArm64Ram},
        Machine{"riscv64_39", "machine riscv64 va_bits=39", 4096, kRiscv64Ram},
        Machine{"riscv64_48", "machine riscv64 va_bits=48", 4096, kRiscv64Ram},
        Machine{"riscv64_57", "machine riscv64 va_bits=57", 4096, kRiscv64Ram},
        Machine{"riscv64_48_since_7_1", "machine riscv64 va_bits=48", 4096, kRiscv64Ram,
                "struct_page layout=7.2"},
        Machine{"s390x_2_levels", "machine s390x levels=2", 4096, kS390xRam},
        Machine{"s390x_3_levels", "machine s390x", 4096, kS390xRam},
        Machine{"s390x_4_levels", "machine s390x levels=4", 4096, kS390xRam},
        Machine{"s390x_5_levels", "machine s390x levels=5", 4096, kS390xRam},
        Machine{"s390x_memory_apart_from_0", "machine s390x page_offset=0x10000000000", 4096, kS390xRam},
        Machine{"s390x_before_6_10", "machine s390x kaslr=0x1f00000", 4096, kS390xRam,
                "struct_page layout=6.1\nnote set NUMBER(PG_hwpoison)=23"},
        Machine{"s390x_since_7_2", "machine s390x", 4096, kS390xRam, "struct_page layout=7.2"}),
    [](const auto& machine) { return machine.param.name; });

}  // namespace
}  // namespace kvista::dump
