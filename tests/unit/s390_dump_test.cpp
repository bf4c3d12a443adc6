#include "image/s390_dump_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/open.h"
#include "images/s390_dump_builder.h"
#include "unit/bytes.h"
#include "unit/failure.h"
#include "unit/memory_file.h"
#include "unit/read_image.h"

namespace kvista::image {
namespace {

using test::Bytes;
using test::failure_of;
using test::MemoryFile;
using test::pattern;
using test::read;
using test::s390_dump_bytes;
using test::S390Dump;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kHeader = 4096;

S390Dump plain() {
  return {false, {{0, pattern(0x3000, 1)}}};
}
S390Dump extended() {
  return {true, {{0, pattern(0x2000, 1)}, {0x100000, pattern(0x1000, 2)}}};
}
std::unique_ptr<MemoryImage> open(const Bytes& bytes) {
  return open_s390_dump(MemoryFile(bytes).open());
}
std::string failure(const Bytes& bytes) {
  return failure_of([&] { open(bytes); });
}

TEST(S390Dump, HoldsAllMemoryBehindItsHeader) {
  const MemoryFile file(s390_dump_bytes(plain()));
  const auto image = open_image(file.path());
  EXPECT_EQ(image->traits().format, "s390 stand-alone");
  EXPECT_EQ(image->traits().byte_order, ByteOrder::big);
  EXPECT_EQ(image->traits().elf_machine, 22);
  EXPECT_THAT(image->warnings(), IsEmpty());
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0}, 0x3000}));
  PageState state{};
  EXPECT_EQ(read(*image, 0, 0x4000, &state), pattern(0x3000, 1));
  EXPECT_EQ(state, PageState::beyond);
}

TEST(S390Dump, HasSegmentsInTheExtendedFormat) {
  const MemoryFile file(s390_dump_bytes(extended()));
  const auto image = open_image(file.path());
  EXPECT_EQ(image->traits().format, "s390 stand-alone, extended");
  EXPECT_THAT(image->warnings(), IsEmpty());
  EXPECT_THAT(image->ram(),
              ElementsAre(PhysRange{PhysAddr{0}, 0x2000}, PhysRange{PhysAddr{0x100000}, 0x1000}));
  EXPECT_EQ(read(*image, 0x1000, 0x1000).size(), 0x1000U);
  EXPECT_EQ(read(*image, 0x100000, 0x1000), pattern(0x1000, 2));
  PageState state{};
  EXPECT_THAT(read(*image, 0x2000, 1, &state), IsEmpty()) << "between segments there is no memory";
  EXPECT_EQ(state, PageState::beyond);
}

TEST(S390Dump, LosesWhatACutFileLacks) {
  Bytes bytes = s390_dump_bytes(plain());
  bytes.resize(kHeader + 0x1800);
  const auto image = open(bytes);
  PageState state{};
  EXPECT_EQ(read(*image, 0x1000, 0x2000, &state).size(), 0x800U);
  EXPECT_EQ(state, PageState::lost);
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("cut short: 6144 bytes")));
}

TEST(S390Dump, SaysThatItWasNotFinished) {
  for (S390Dump dump : {plain(), extended()}) {
    dump.has_end = false;
    EXPECT_THAT(open(s390_dump_bytes(dump))->warnings(), ElementsAre(HasSubstr("no end mark")));
  }
}

TEST(S390Dump, ReadsUpToASegmentThatMakesNoSense) {
  const Bytes whole = s390_dump_bytes(extended());
  constexpr size_t kSecond = kHeader + 0x1000 + 0x2000;
  Bytes bytes = whole;
  test::put<uint64_t>(bytes, kSecond + 8, UINT64_MAX, ByteOrder::big);
  auto image = open(bytes);
  EXPECT_EQ(image->ram().size(), 1U);
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("a segment at offset 16384 makes no sense")));
  bytes = whole;
  bytes.resize(kSecond + 100);
  image = open(bytes);
  EXPECT_EQ(image->ram().size(), 1U);
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("a segment at offset 16384 is not in the file")));
  bytes.resize(kHeader + 0x800);
  EXPECT_THAT(failure(bytes), HasSubstr("without memory: its first segment is not in the file"));
}

TEST(S390Dump, CountsOverlappingSegmentsOnceAndWarns) {
  S390Dump dump = extended();
  dump.segments[1].start = 0x1000;
  const auto image = open(s390_dump_bytes(dump));
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0}, 0x2000}));
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("segments overlap: 4096 bytes")));
}

TEST(S390Dump, NamesWhatItDoesNotRead) {
  S390Dump dump = plain();
  dump.arch = 1;
  EXPECT_THAT(failure(s390_dump_bytes(dump)), HasSubstr("31-bit machine"));
  dump = plain();
  dump.volumes = 1;
  EXPECT_THAT(failure(s390_dump_bytes(dump)), HasSubstr("one volume of a stand-alone dump on several disks"));
  dump = extended();
  dump.segments[1].blocks_on_disk = 8;
  EXPECT_THAT(failure(s390_dump_bytes(dump)), HasSubstr("compressed segments"));
}

TEST(S390Dump, RefusesAHeaderThatMakesNoSense) {
  Bytes bytes = s390_dump_bytes(plain());
  for (const uint64_t size : {uint64_t{0}, UINT64_MAX}) {
    test::put<uint64_t>(bytes, 0x18, size, ByteOrder::big);
    EXPECT_THAT(failure(bytes), HasSubstr("header makes no sense"));
  }
  bytes.resize(kHeader - 1);
  EXPECT_THAT(failure(bytes), HasSubstr("ends within its header"));
}

}  // namespace
}  // namespace kvista::image
