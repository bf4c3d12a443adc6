#include "image/elf_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "unit/bytes.h"
#include "unit/failure.h"
#include "unit/memory_file.h"
#include "unit/read_image.h"

namespace kvista::image {
namespace {

using test::Bytes;
using test::data_of;
using test::ElfDescription;
using test::MemoryFile;
using test::pattern;
using test::read;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::unique_ptr<MemoryImage> open_bytes(const Bytes& bytes) {
  return open_elf(MemoryFile(bytes).open());
}
std::unique_ptr<MemoryImage> open_described(const ElfDescription& elf) {
  return open_bytes(test::elf_bytes(elf));
}

std::string failure_of(const ElfDescription& elf) {
  return test::failure_of([&] { open_described(elf); });
}

Bytes slice(const Bytes& bytes, size_t from, size_t size) {
  const auto begin = bytes.begin() + static_cast<ptrdiff_t>(from);
  return {begin, begin + static_cast<ptrdiff_t>(size)};
}

TEST(ElfImage, ReadsMemoryOfBothClassesInBothByteOrders) {
  const Bytes memory = pattern(0x3000);
  for (const unsigned word_size : {4U, 8U}) {
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      ElfDescription elf;
      elf.word_size = word_size;
      elf.byte_order = order;
      elf.segments.push_back({.paddr = 0x100000, .memory_size = memory.size(), .data = data_of(memory)});
      const auto image = open_described(elf);
      EXPECT_EQ(image->traits().word_size, word_size);
      EXPECT_EQ(image->traits().byte_order, order);
      EXPECT_FALSE(image->traits().live);
      EXPECT_EQ(read(*image, 0x100000, 0x3000), memory);
      EXPECT_EQ(read(*image, 0x101234, 0x10), slice(memory, 0x1234, 0x10));
      EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x100000}, 0x3000}));
      EXPECT_THAT(image->warnings(), IsEmpty());
    }
  }
}

TEST(ElfImage, ReadsAcrossSegmentsThatTouchAndStopsAtAHole) {
  const Bytes memory = pattern(0x3000);
  ElfDescription elf;
  elf.segments.push_back(
      {.paddr = 0x2000, .memory_size = 0x2000, .data = data_of(slice(memory, 0x1000, 0x2000))});
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000, .data = data_of(slice(memory, 0, 0x1000))});
  const auto image = open_described(elf);
  EXPECT_EQ(read(*image, 0x1000, 0x3000), memory);
  PageState state{};
  EXPECT_EQ(read(*image, 0x1000, 0x4000, &state), memory);
  EXPECT_EQ(state, PageState::beyond);
  EXPECT_THAT(read(*image, 0xfff, 0x10, &state), IsEmpty());
  EXPECT_EQ(state, PageState::beyond);
}

TEST(ElfImage, NeverGivesZerosForMemoryThatIsNotInTheFile) {
  const Bytes memory = pattern(0x1000);
  ElfDescription elf;
  elf.segments.push_back(
      {.paddr = 0x1000, .memory_size = 0x3000, .file_size = 0x1000, .data = data_of(memory)});
  const auto image = open_described(elf);
  PageState state{};
  EXPECT_EQ(read(*image, 0x1800, 0x1000, &state).size(), 0x800U);
  EXPECT_EQ(state, PageState::absent);
  EXPECT_THAT(read(*image, 0x2000, 1, &state), IsEmpty());
  EXPECT_EQ(state, PageState::absent);
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x3000}));
  EXPECT_THAT(image->warnings(), IsEmpty()) << "a dump with excluded pages is not damaged";
}

TEST(ElfImage, MarksWhatACutFileLacksAsLostAndWarns) {
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x3000, .data = data_of(pattern(0x3000))});
  elf.truncate = 0x2800;  // of data that begins at 0x1000
  const auto image = open_described(elf);
  PageState state{};
  EXPECT_EQ(read(*image, 0x1000, 0x3000, &state), pattern(0x1800));
  EXPECT_EQ(state, PageState::lost);
  EXPECT_THAT(image->warnings(),
              ElementsAre("the file is cut short: 6144 bytes that its headers name are not there"));
}

TEST(ElfImage, LosesWholeSegmentsBehindTheEndOfACutFile) {
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000, .data = data_of(pattern(0x1000))});
  elf.segments.push_back({.paddr = 0x8000, .memory_size = 0x1000, .data = data_of(pattern(0x1000))});
  elf.truncate = 0x2000;
  const auto image = open_described(elf);
  PageState state{};
  EXPECT_EQ(read(*image, 0x1000, 0x1000).size(), 0x1000U);
  EXPECT_THAT(read(*image, 0x8000, 1, &state), IsEmpty());
  EXPECT_EQ(state, PageState::lost);
}

TEST(ElfImage, CountsOverlappingSegmentsOnceAndWarns) {
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x2000, .data = data_of(pattern(0x2000, 1))});
  elf.segments.push_back({.paddr = 0x2000, .memory_size = 0x2000, .data = data_of(pattern(0x2000, 2))});
  const auto image = open_described(elf);
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x3000}));
  EXPECT_EQ(read(*image, 0x2000, 0x1000), slice(pattern(0x2000, 1), 0x1000, 0x1000));
  EXPECT_EQ(read(*image, 0x3000, 0x1000), slice(pattern(0x2000, 2), 0x1000, 0x1000));
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("segments overlap: 4096 bytes")));
}

// /proc/vmcore begins with the kernel's text mapping, whose memory the direct map's segments hold again.
TEST(ElfImage, CountsTheTextSegmentOnceWithoutAWarning) {
  const Bytes memory = pattern(0x8000);
  ElfDescription elf;
  elf.segments.push_back({.vaddr = 0xffffffff81000000,
                          .paddr = 0x12000,
                          .memory_size = 0x2000,
                          .data = data_of(slice(memory, 0x2000, 0x2000))});
  elf.segments.push_back(
      {.vaddr = 0xffff888000010000, .paddr = 0x10000, .memory_size = 0x8000, .data = data_of(memory)});
  const auto image = open_described(elf);
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x10000}, 0x8000}));
  EXPECT_EQ(read(*image, 0x10000, 0x8000), memory);
  EXPECT_THAT(image->warnings(), IsEmpty());
  ASSERT_EQ(image->segments().size(), 2U) << "both stay as evidence";
  EXPECT_EQ(image->segments()[0].vaddr, VirtAddr{0xffffffff81000000});
}

TEST(ElfImage, TrustsNoVirtualAddressThatIsZeroOrThePhysicalOne) {
  ElfDescription elf;
  elf.segments.push_back({.vaddr = 0x100000, .paddr = 0x100000, .memory_size = 0x1000});
  elf.segments.push_back({.vaddr = 0, .paddr = 0x200000, .memory_size = 0x1000});
  elf.segments.push_back({.vaddr = 0xffff888000300000, .paddr = 0x300000, .memory_size = 0x1000});
  const auto image = open_described(elf);
  ASSERT_EQ(image->segments().size(), 3U);
  EXPECT_EQ(image->segments()[0].vaddr, std::nullopt);
  EXPECT_EQ(image->segments()[1].vaddr, std::nullopt);
  EXPECT_EQ(image->segments()[2].vaddr, VirtAddr{0xffff888000300000});
  EXPECT_EQ(image->segments()[0].paddr, PhysAddr{0x100000});
}

TEST(ElfImage, LeavesOutSegmentsThatWrapAroundAndWarns) {
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000});
  elf.segments.push_back({.paddr = UINT64_MAX - 0xfff, .memory_size = 0x2000, .file_size = 0});
  elf.segments.push_back({.paddr = 0x8000,
                          .memory_size = 0x1000,
                          .file_size = 0x1000,
                          .in_file = false,
                          .offset = UINT64_MAX - 0xff});
  const auto image = open_described(elf);
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x1000}));
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("2 segments wrap around")));
}

TEST(ElfImage, ReadsNoMoreOfASegmentThanItsMemorySize) {
  ElfDescription elf;
  elf.segments.push_back(
      {.paddr = 0x1000, .memory_size = 0x1000, .file_size = 0x3000, .data = data_of(pattern(0x3000))});
  const auto image = open_described(elf);
  PageState state{};
  EXPECT_EQ(read(*image, 0x1000, 0x3000, &state).size(), 0x1000U);
  EXPECT_EQ(state, PageState::beyond);
}

TEST(ElfImage, RefusesTheCoreOfAProcess) {
  ElfDescription elf;
  elf.segments.push_back({.vaddr = 0x400000, .memory_size = 0x1000});
  elf.segments.push_back({.vaddr = 0x7fff00000000, .memory_size = 0x1000});
  EXPECT_THAT(failure_of(elf), HasSubstr("the core of a process (no physical addresses), not of a kernel"));
}

TEST(ElfImage, RefusesACoreWithoutMemory) {
  ElfDescription elf;
  elf.notes = {{"CORE", 1, Bytes(4)}};
  EXPECT_THAT(failure_of(elf), HasSubstr("holds no memory by physical address"));
  elf.segments.push_back({.vaddr = 0xffffc90000000000, .paddr = UINT64_MAX, .memory_size = 0x1000});
  EXPECT_THAT(failure_of(elf), HasSubstr("holds no memory by physical address"));
}

TEST(ElfImage, ReadsNotesUpToALimit) {
  ElfDescription elf;
  elf.notes = {{"CORE", 1, pattern(20)}, {"VMCOREINFO", 0, test::bytes_of("PAGESIZE=4096\n")}};
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000});
  const auto image = open_described(elf);
  ASSERT_EQ(image->notes().size(), 2U);
  EXPECT_EQ(image->read_note(image->notes()[0], 1000), pattern(20));
  EXPECT_EQ(image->read_note(image->notes()[0], 5), pattern(5));
  EXPECT_EQ(image->read_note(image->notes()[1], 1000), test::bytes_of("PAGESIZE=4096\n"));
}

TEST(ElfImage, ReadsNoNoteThatIsNotThere) {
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000});
  const auto image = open_described(elf);
  const Note beyond{"X", 0, uint64_t{1} << 40, uint64_t{1} << 50};
  EXPECT_THAT(image->read_note(beyond, UINT64_MAX), IsEmpty());
}

TEST(ElfImage, GivesTheSameBytesWhateverTheSizeOfTheReads) {
  const Bytes memory = pattern(0x2345);
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x345, .data = data_of(slice(memory, 0, 0x345))});
  elf.segments.push_back(
      {.paddr = 0x1345, .memory_size = 0x2000, .data = data_of(slice(memory, 0x345, 0x2000))});
  const auto image = open_described(elf);
  for (const size_t step : {1U, 7U, 512U, 4096U}) {
    Bytes all;
    for (uint64_t at = 0; at < memory.size(); at += step) {
      const Bytes part = read(*image, 0x1000 + at, std::min<size_t>(step, memory.size() - at));
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, memory) << "steps of " << step;
  }
}

}  // namespace
}  // namespace kvista::image
