#include "vmcoreinfo/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/open.h"
#include "image/raw_image.h"
#include "images/byte_writer.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"
#include "unit/test_image.h"

namespace kvista::vmcoreinfo {
namespace {

using test::Bytes;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kText =
    "OSRELEASE=6.1.0-test\nBUILD-ID=0123456789abcdef\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff82a00000\n";
constexpr uint64_t kHeader = 24;
constexpr uint64_t kMiB = uint64_t{1} << 20;

Bytes note_of(const std::string& text, ByteOrder order = ByteOrder::little, uint32_t type = 0) {
  test::ByteWriter out(order);
  out.u32(11);
  out.u32(static_cast<uint32_t>(text.size()));
  out.u32(type);
  out.text("VMCOREINFO");
  out.zeros(2);
  out.text(text);
  return out.take();
}

// Memory from 0 to `size`, as raw memory on disk.
class RawMemory {
 public:
  explicit RawMemory(uint64_t size) : bytes_(size) {}
  void put(uint64_t at, const Bytes& what) {
    std::copy(what.begin(), what.end(), bytes_.begin() + static_cast<ptrdiff_t>(at));
  }
  void put(uint64_t at, const std::string& text) { put(at, test::bytes_of(text)); }
  Scan scan(uint64_t base = 0, unsigned threads = 2) const {
    const test::MemoryFile file(bytes_);
    return vmcoreinfo::scan(*image::open_raw_set({{file.path(), PhysAddr{base}}}), threads);
  }

 private:
  Bytes bytes_;
};

TEST(Scan, FindsANote) {
  RawMemory memory(kMiB);
  memory.put(0x3004, note_of(kText));
  const Scan scan = memory.scan();
  ASSERT_THAT(scan.notes, SizeIs(1));
  EXPECT_TRUE(scan.complete);
  const FoundNote& found = scan.notes.front();
  EXPECT_EQ(found.address, PhysAddr{0x3004});
  EXPECT_TRUE(found.has_header);
  EXPECT_EQ(found.byte_order, ByteOrder::little);
  EXPECT_EQ(found.missing, 0U);
  EXPECT_EQ(found.info.text(), kText);
}

TEST(Scan, FindsNotesOfBigEndianMachines) {
  RawMemory memory(kMiB);
  memory.put(0x3000, note_of(kText, ByteOrder::big));
  const Scan scan = memory.scan();
  ASSERT_THAT(scan.notes, SizeIs(1));
  EXPECT_TRUE(scan.notes.front().has_header);
  EXPECT_EQ(scan.notes.front().byte_order, ByteOrder::big);
  EXPECT_EQ(scan.notes.front().info.text(), kText);
}

TEST(Scan, FindsTextWithoutAHeader) {
  RawMemory memory(kMiB);
  memory.put(0, kText);
  memory.put(0x2000, kText + "\x01 what follows is no text\n");
  memory.put(0x4000, note_of(kText, ByteOrder::little, 7));  // of another type
  const Scan scan = memory.scan();
  ASSERT_THAT(scan.notes, SizeIs(3));
  for (const FoundNote& found : scan.notes) {
    EXPECT_FALSE(found.has_header);
    EXPECT_EQ(found.info.text(), kText);
  }
  EXPECT_EQ(scan.notes[2].address, PhysAddr{0x4000 + kHeader});
}

TEST(Scan, FindsThemAtEveryBoundary) {
  // Pages, and what is looked at and taken by a thread at once.
  for (const uint64_t boundary : {uint64_t{4096}, 2 * kMiB, 32 * kMiB, 33 * kMiB}) {
    for (const uint64_t before : {4U, 24U, 28U, 64U}) {
      RawMemory memory(34 * kMiB);
      memory.put(boundary - before, note_of(kText));
      const Scan scan = memory.scan();
      ASSERT_THAT(scan.notes, SizeIs(1)) << boundary << " - " << before;
      EXPECT_EQ(scan.notes.front().address, PhysAddr{boundary - before});
      EXPECT_EQ(scan.notes.front().info.text(), kText);
    }
  }
}

TEST(Scan, FindsThemAcrossFiles) {
  const Bytes note = note_of(kText);
  for (const size_t before : {size_t{8}, size_t{24}, size_t{60}}) {
    Bytes low(0x1000);
    Bytes high(0x1000);
    std::copy_n(note.begin(), before, low.end() - static_cast<ptrdiff_t>(before));
    std::copy(note.begin() + static_cast<ptrdiff_t>(before), note.end(), high.begin());
    const test::MemoryFile first(low);
    const test::MemoryFile second(high);
    const auto image =
        image::open_raw_set({{first.path(), PhysAddr{0x7000}}, {second.path(), PhysAddr{0x8000}}});
    const Scan found = scan(*image);
    ASSERT_THAT(found.notes, SizeIs(1)) << before;
    EXPECT_EQ(found.notes.front().address, PhysAddr{0x8000 - before});
    EXPECT_EQ(found.notes.front().info.text(), kText);
  }
}

TEST(Scan, TakesAddressesAndNotFilesForAlignment) {
  RawMemory memory(kMiB);
  memory.put(0x1003, note_of(kText));
  EXPECT_THAT(memory.scan(0x10001).notes, SizeIs(1));
  EXPECT_THAT(memory.scan(0x10000).notes, IsEmpty());
}

TEST(Scan, GivesThemByAddress) {
  RawMemory memory(80 * kMiB);
  const std::vector<uint64_t> places = {0x1000, 0x5000, 31 * kMiB, 32 * kMiB, 70 * kMiB};
  for (const uint64_t at : places) memory.put(at, note_of(kText));
  for (const unsigned threads : {1U, 4U}) {
    const Scan scan = memory.scan(0, threads);
    ASSERT_THAT(scan.notes, SizeIs(places.size()));
    for (size_t i = 0; i < places.size(); ++i) EXPECT_EQ(scan.notes[i].address.value, places[i]);
  }
}

TEST(Scan, LeavesOutWhatOnlyNamesTheKey) {
  RawMemory memory(kMiB);
  memory.put(0x1000, "OSRELEASE=%s\nPAGESIZE=%ld\n");  // the kernel's own format strings
  memory.put(0x2000, "OSRELEASE=6.1.0\nBUILD-ID=00\n");
  memory.put(0x3000, "OSRELEASE");
  memory.put(0x4000, "OSREL");
  memory.put(kMiB - 4, "OSRE");
  EXPECT_THAT(memory.scan().notes, IsEmpty());
}

TEST(Scan, SaysHowMuchOfANoteIsMissing) {
  RawMemory memory(0x2000);
  const std::string text = kText + "NUMBER(phys_base)=";
  const Bytes note = note_of(text + std::string(3 - text.size() % 4, '1') + "\n");
  memory.put(0x2000 - note.size(), note);
  EXPECT_EQ(memory.scan().notes.at(0).missing, 0U);

  test::PhysicalMemory pages;
  pages.write(0x3000 - note.size() + 32, note);
  const test::TestImage image(pages, {{PhysAddr{0x1000}, 0x4000}}, {{PhysAddr{0x3000}, 0x1000}});
  const Scan scan = vmcoreinfo::scan(image);
  ASSERT_THAT(scan.notes, SizeIs(1));
  EXPECT_EQ(scan.notes.front().missing, 32U);
  EXPECT_THAT(scan.notes.front().info.warnings(), SizeIs(1));
}

TEST(Scan, GoesOnBehindPagesThatAreMissing) {
  test::PhysicalMemory pages;
  pages.write(0x5010, note_of(kText));
  const test::TestImage image(pages, {{PhysAddr{0x800}, 0x8000}},
                              {{PhysAddr{0x2000}, 0x1000}, {PhysAddr{0x4000}, 0x1000}});
  ASSERT_THAT(vmcoreinfo::scan(image).notes, SizeIs(1));
}

TEST(Scan, TakesAbsurdSizesForNoHeader) {
  RawMemory memory(kMiB);
  Bytes note = note_of(kText);
  std::fill_n(note.begin() + 4, 4, std::byte{0xff});
  memory.put(0x1000, note);
  const Scan scan = memory.scan();
  ASSERT_THAT(scan.notes, SizeIs(1));
  EXPECT_FALSE(scan.notes.front().has_header);
  EXPECT_EQ(scan.notes.front().info.text(), kText);
}

TEST(Scan, IsNotLedOnByMemoryFullOfTexts) {
  RawMemory memory(4 * kMiB);
  const std::string text = "OSRELEASE=x\nPAGESIZE=1\n\x01";
  for (uint64_t at = 0; at + text.size() <= 4 * kMiB; at += text.size()) memory.put(at, text);
  const Scan scan = memory.scan();
  EXPECT_FALSE(scan.complete);
  EXPECT_THAT(scan.notes, SizeIs(256));
}

TEST(Scan, LooksForNoHeaderBelowAddressZero) {
  RawMemory memory(0x1000);
  memory.put(8, kText);
  ASSERT_THAT(memory.scan().notes, SizeIs(1));
  EXPECT_EQ(memory.scan().notes.front().address, PhysAddr{8});
}

}  // namespace
}  // namespace kvista::vmcoreinfo
