#include "vmcoreinfo/locate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/elf_image.h"
#include "images/byte_writer.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"
#include "unit/test_image.h"

namespace kvista::vmcoreinfo {
namespace {

using test::Bytes;
using test::MemoryFile;
using testing::HasSubstr;

constexpr const char* kText = "OSRELEASE=6.1.0\nPAGESIZE=4096\n";
constexpr const char* kNoSysfs = "/nonexistent";

std::unique_ptr<image::MemoryImage> image_with(std::vector<test::ElfNote> notes,
                                               ByteOrder order = ByteOrder::little) {
  test::ElfDescription elf;
  elf.byte_order = order;
  elf.notes = std::move(notes);
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000});
  return image::open_elf(MemoryFile(test::elf_bytes(elf)).open());
}

TEST(Locate, TakesTheElfNote) {
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
    const auto image = image_with({{"CORE", 1, Bytes(336)}, {"VMCOREINFO", 0, test::bytes_of(kText)}}, order);
    const auto found = locate(*image, kNoSysfs);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->source, "ELF note");
    EXPECT_EQ(found->info.text_of("OSRELEASE"), "6.1.0");
    EXPECT_TRUE(found->info.warnings().empty());
  }
}

TEST(Locate, FindsNothingInAnImageWithoutANote) {
  EXPECT_FALSE(locate(*image_with({{"CORE", 1, Bytes(336)}}), kNoSysfs));
  EXPECT_FALSE(locate(*image_with({{"VMCOREINFO_XEN", 0, test::bytes_of(kText)}}), kNoSysfs));
}

TEST(Locate, TakesANoteOfGarbageForNone) {
  EXPECT_FALSE(locate(*image_with({{"VMCOREINFO", 0, Bytes(100, std::byte{0xff})}}), kNoSysfs));
  EXPECT_FALSE(locate(*image_with({{"VMCOREINFO", 0, Bytes(100)}}), kNoSysfs));
}

TEST(Locate, TakesTheSecondNoteWhereTheFirstIsEmpty) {
  const auto image = image_with({{"VMCOREINFO", 0, Bytes(16)}, {"VMCOREINFO", 0, test::bytes_of(kText)}});
  const auto found = locate(*image, kNoSysfs);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->info.decimal("PAGESIZE"), 4096U);
}

// --- the running kernel: /sys/kernel/vmcoreinfo says where in memory the note is ---

constexpr uint64_t kNoteAt = 0x2340;

Bytes elf_note(std::string_view name, const Bytes& descriptor) {
  test::ByteWriter out;
  out.u32(static_cast<uint32_t>(name.size()));
  out.u32(static_cast<uint32_t>(descriptor.size()));
  out.u32(0);
  out.text(name);
  out.align(4);
  out.bytes(descriptor);
  return out.take();
}

std::optional<Located> locate_live(const Bytes& note, std::string_view sysfs, bool live = true) {
  test::PhysicalMemory memory;
  memory.write(kNoteAt, note);
  test::TestImage image(memory, {{PhysAddr{0x1000}, 0x4000}});
  if (live) image.make_live();
  const MemoryFile file(sysfs);
  return locate(image, file.path());
}

const std::string_view kName("VMCOREINFO\0", 11);

TEST(LocateLive, ReadsTheNoteWhereSysfsSaysItIs) {
  for (const char* sysfs : {"0x0000000000002340 1024\n", "2340 1024\n", "2340 1024", "0x2340 0x1024\n"}) {
    const auto found = locate_live(elf_note(kName, test::bytes_of(kText)), sysfs);
    ASSERT_TRUE(found) << sysfs;
    EXPECT_THAT(found->source, HasSubstr("/proc/self/fd/"));
    EXPECT_EQ(found->info.text_of("OSRELEASE"), "6.1.0");
  }
}

TEST(LocateLive, IsOnlyForTheRunningKernel) {
  EXPECT_FALSE(locate_live(elf_note(kName, test::bytes_of(kText)), "2340 1024\n", false));
}

TEST(LocateLive, RefusesWhatIsNoNoteOfThatName) {
  EXPECT_FALSE(locate_live(elf_note("OTHER", test::bytes_of(kText)), "2340 1024\n"));
  EXPECT_FALSE(locate_live(Bytes(64, std::byte{0xff}), "2340 1024\n"));
  EXPECT_FALSE(locate_live({}, "2340 1024\n"));
}

TEST(LocateLive, RefusesPlacesThatCannotBeRead) {
  const Bytes note = elf_note(kName, test::bytes_of(kText));
  for (const char* sysfs : {"", "\n", "2340", "2340 \n", "x 1024\n", "2340 x\n", "ffffffffffffffff 1024\n",
                            "9000 1024\n", "2340 0\n", "2340 4\n"})
    EXPECT_FALSE(locate_live(note, sysfs)) << sysfs;
}

TEST(LocateLive, BelievesNoAbsurdSize) {
  EXPECT_TRUE(locate_live(elf_note(kName, test::bytes_of(kText)), "2340 ffffffffffffffff\n"));
}

TEST(LocateLive, WarnsOfANoteThatIsCut) {
  const auto found = locate_live(elf_note(kName, test::bytes_of("PAGESIZE=4096\nOSREL")), "2340 1024\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->info.decimal("PAGESIZE"), 4096U);
  EXPECT_EQ(found->info.warnings().size(), 1U);
}

// --- the user's own file ---

TEST(NoteFile, IsReadAsText) {
  const Located located = read_file(MemoryFile(kText).path());
  EXPECT_EQ(located.source, "user");
  EXPECT_EQ(located.info.decimal("PAGESIZE"), 4096U);
}

TEST(NoteFile, NeedsAtLeastOneEntry) {
  const MemoryFile file("hello\n");
  try {
    read_file(file.path());
    FAIL() << "took a file without an entry";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no line of VMCOREINFO (KEY=VALUE)"));
  }
}

TEST(NoteFile, MustBeThere) {
  EXPECT_THROW(read_file("/nonexistent"), AccessError);
}

}  // namespace
}  // namespace kvista::vmcoreinfo
