#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/lime_image.h"
#include "image/open.h"
#include "image/raw_image.h"
#include "images/file_formats.h"
#include "images/temporary.h"
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
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void add_range(Bytes& file, uint64_t start, const Bytes& bytes) {
  const Bytes header = test::lime_header({start, start + bytes.size()});
  file.insert(file.end(), header.begin(), header.end());
  file.insert(file.end(), bytes.begin(), bytes.end());
}

Bytes two_ranges() {
  Bytes file;
  add_range(file, 0x1000, pattern(0x1000, 1));
  add_range(file, 0x100000, pattern(0x2000, 2));
  return file;
}

std::string lime_failure(const Bytes& bytes) {
  return failure_of([&] { open_lime(MemoryFile(bytes).open()); });
}

TEST(Lime, ReadsItsRanges) {
  const MemoryFile file(two_ranges());
  const auto image = open_image(file.path());
  EXPECT_EQ(image->traits().format, "LiME");
  EXPECT_THAT(image->warnings(), IsEmpty());
  EXPECT_THAT(image->ram(),
              ElementsAre(PhysRange{PhysAddr{0x1000}, 0x1000}, PhysRange{PhysAddr{0x100000}, 0x2000}));
  EXPECT_EQ(read(*image, 0x1000, 0x1000), pattern(0x1000, 1));
  PageState state{};
  EXPECT_EQ(read(*image, 0x100000, 0x3000, &state), pattern(0x2000, 2));
  EXPECT_EQ(state, PageState::beyond);
}

TEST(Lime, LosesWhatACutFileLacks) {
  Bytes bytes = two_ranges();
  bytes.resize(bytes.size() - 0x1800);
  const auto image = open_lime(MemoryFile(bytes).open());
  PageState state{};
  EXPECT_EQ(read(*image, 0x100000, 0x2000, &state).size(), 0x800U);
  EXPECT_EQ(state, PageState::lost);
  EXPECT_THAT(image->warnings(),
              ElementsAre("the file is cut short: 6144 bytes that its headers name are not there"));
}

TEST(Lime, ReadsUpToAHeaderThatMakesNoSense) {
  Bytes bytes = two_ranges();
  bytes[0x1020] = std::byte{0};
  auto image = open_lime(MemoryFile(bytes).open());
  EXPECT_EQ(image->ram().size(), 1U);
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("a range at offset 0x1020 makes no sense")));
  bytes.resize(0x1030);
  image = open_lime(MemoryFile(bytes).open());
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("a range at offset 0x1020 is cut short")));
}

TEST(Lime, RefusesAFirstHeaderThatMakesNoSense) {
  Bytes bytes = two_ranges();
  test::put<uint64_t>(bytes, 16, 0xfff);
  EXPECT_THAT(lime_failure(bytes), HasSubstr("0x1000-0xfff, makes no sense"));
  test::put<uint64_t>(bytes, 16, UINT64_MAX);
  EXPECT_THAT(lime_failure(bytes), HasSubstr("makes no sense"));
  test::put<uint32_t>(bytes, 4, 2);
  EXPECT_THAT(lime_failure(bytes), HasSubstr("version 2"));
  bytes.resize(31);
  EXPECT_THAT(lime_failure(bytes), HasSubstr("cut off"));
}

TEST(Lime, CountsOverlappingRangesOnceAndWarns) {
  Bytes bytes;
  add_range(bytes, 0x1000, pattern(0x2000));
  add_range(bytes, 0x2000, pattern(0x2000));
  const auto image = open_lime(MemoryFile(bytes).open());
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x3000}));
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("ranges overlap: 4096 bytes")));
}

TEST(Raw, TakesAFileAndAnAddressApart) {
  const auto piece = parse_raw_piece("a@b@0x1000");
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->path, "a@b");
  EXPECT_EQ(piece->base, PhysAddr{0x1000});
  EXPECT_EQ(parse_raw_piece("mem@4096")->base, PhysAddr{4096});
  for (const char* text : {"mem", "mem@", "@0", "mem@0x", "mem@12k", "mem@-1", "mem@0x10000000000000000"})
    EXPECT_FALSE(parse_raw_piece(text)) << text;
}

TEST(Raw, ReadsSeveralFilesAsOne) {
  const MemoryFile low(pattern(0x1800, 1));
  const MemoryFile high(pattern(0x1000, 2));
  const auto image = open_raw_set({{high.path(), PhysAddr{0x2800}}, {low.path(), PhysAddr{0x1000}}});
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x2800}));
  Bytes all = pattern(0x1800, 1);
  const Bytes rest = pattern(0x1000, 2);
  all.insert(all.end(), rest.begin(), rest.end());
  PageState state{};
  EXPECT_EQ(read(*image, 0x1000, 0x4000, &state), all);
  EXPECT_EQ(state, PageState::beyond);
  EXPECT_THAT(read(*image, 0xfff, 1), IsEmpty());
}

TEST(Raw, RefusesWhatCannotBe) {
  const MemoryFile file(pattern(0x1000));
  const MemoryFile empty("");
  EXPECT_THAT(failure_of([&] {
                open_raw_set({{file.path(), PhysAddr{0}}, {file.path(), PhysAddr{0xfff}}});
              }),
              HasSubstr("both hold the memory at 0xfff"));
  EXPECT_THAT(failure_of([&] {
                open_raw_set({{file.path(), PhysAddr{UINT64_MAX - 0xffe}}});
              }),
              HasSubstr("beyond the end of the address space"));
  EXPECT_THAT(failure_of([&] { open_raw_set({{empty.path(), PhysAddr{0}}}); }), HasSubstr("is empty"));
  EXPECT_THAT(failure_of([&] { open_raw_set({{"/tmp", PhysAddr{0}}}); }), HasSubstr("a directory"));
  EXPECT_THAT(failure_of([&] { open_image("/nonexistent@0"); }), HasSubstr("cannot open /nonexistent:"));
}

TEST(Raw, IsOpenedByPathUnlessAFileHasThatName) {
  const test::TemporaryDirectory directory;
  directory.write("mem", "0123456789abcdef");
  EXPECT_EQ(open_image(directory.file("mem@0x100"))->traits().format, "raw memory");
  directory.write("mem@0x100", "no image");
  EXPECT_THAT(failure_of([&] { open_image(directory.file("mem@0x100")); }), HasSubstr("FILE@ADDRESS"));
}

}  // namespace
}  // namespace kvista::image
