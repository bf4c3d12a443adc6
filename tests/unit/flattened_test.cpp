#include "image/flattened.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/open.h"
#include "images/file_formats.h"
#include "unit/bytes.h"
#include "unit/failure.h"
#include "unit/memory_file.h"

namespace kvista::image {
namespace {

using test::Bytes;
using test::flattened_bytes;
using test::MemoryFile;
using test::pattern;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Unflattened unflatten_bytes(const Bytes& bytes) {
  return unflatten(MemoryFile(bytes).open());
}

std::string failure_of(const Bytes& bytes) {
  return test::failure_of([&] { unflatten_bytes(bytes); });
}

Bytes read(const File& file, uint64_t at, size_t size) {
  Bytes out(size);
  out.resize(file.read_at(at, out));
  return out;
}

Bytes slice(const Bytes& bytes, size_t from, size_t size) {
  const auto begin = bytes.begin() + static_cast<ptrdiff_t>(from);
  return {begin, begin + static_cast<ptrdiff_t>(size)};
}

TEST(Flattened, ReadsRecordsOutOfOrder) {
  const Bytes whole = pattern(10000);
  const auto stream = unflatten_bytes(flattened_bytes(
      {{6000, slice(whole, 6000, 4000)}, {0, slice(whole, 0, 100)}, {100, slice(whole, 100, 5900)}}));
  EXPECT_THAT(stream.warnings, IsEmpty());
  EXPECT_EQ(stream.file.size(), 10000U);
  EXPECT_FALSE(stream.file.is_regular());
  EXPECT_EQ(read(stream.file, 0, 20000), whole);
  EXPECT_EQ(read(stream.file, 99, 2), slice(whole, 99, 2));
  EXPECT_EQ(read(stream.file, 5990, 20), slice(whole, 5990, 20));
  EXPECT_THAT(read(stream.file, 10000, 1), IsEmpty());
  FileWindow window;
  EXPECT_TRUE(window.view(stream.file, 0, 10).empty()) << "nothing maps a rearranged file";
}

TEST(Flattened, LaterRecordsOverwriteEarlierOnes) {
  Bytes whole = pattern(1000);
  const Bytes inside = pattern(50, 3);
  const Bytes across = pattern(300, 9);
  const auto stream =
      unflatten_bytes(flattened_bytes({{0, whole}, {100, inside}, {900, across}, {120, Bytes(5)}}));
  std::copy(inside.begin(), inside.end(), whole.begin() + 100);
  whole.resize(1200);
  std::copy(across.begin(), across.end(), whole.begin() + 900);
  std::fill_n(whole.begin() + 120, 5, std::byte{0});
  EXPECT_EQ(read(stream.file, 0, 5000), whole);
}

// The disk dump header is shorter than a block, and the next header is in the next block.
TEST(Flattened, FillsUpABlockWithZeros) {
  const auto stream = unflatten_bytes(flattened_bytes({{0, pattern(464)}, {4096, pattern(10)}}));
  Bytes expected = pattern(464);
  expected.resize(4096);
  const Bytes rest = pattern(10);
  expected.insert(expected.end(), rest.begin(), rest.end());
  EXPECT_EQ(read(stream.file, 0, 10000), expected);
}

TEST(Flattened, NeverGivesZerosForAnotherHole) {
  for (const uint64_t second : {uint64_t{5000}, uint64_t{0x100000}}) {
    const auto stream = unflatten_bytes(flattened_bytes({{0, pattern(464)}, {second, pattern(10)}}));
    EXPECT_EQ(read(stream.file, 0, 10000), pattern(464));
    EXPECT_THAT(read(stream.file, second - 1, 5), IsEmpty());
    EXPECT_EQ(read(stream.file, second, 100), pattern(10));
  }
}

TEST(Flattened, ReadsWhatIsThereOfACutStream) {
  Bytes bytes = flattened_bytes({{0, pattern(1000)}, {1000, pattern(1000, 5)}});
  const size_t whole = bytes.size();
  bytes.resize(whole - 16);
  auto stream = unflatten_bytes(bytes);
  EXPECT_THAT(stream.warnings, ElementsAre(HasSubstr("before its end mark")));
  EXPECT_EQ(stream.file.size(), 2000U);
  bytes.resize(whole - 16 - 400);
  stream = unflatten_bytes(bytes);
  EXPECT_THAT(stream.warnings, ElementsAre(HasSubstr("should have 1000 bytes, and 600 are there")));
  EXPECT_EQ(stream.file.size(), 1600U);
  EXPECT_EQ(read(stream.file, 1000, 1000), slice(pattern(1000, 5), 0, 600));
}

TEST(Flattened, StopsAtARecordThatMakesNoSense) {
  for (const auto& [offset, size] : {std::pair{UINT64_MAX - 1, uint64_t{1}}, {uint64_t{1}, UINT64_MAX}}) {
    Bytes bytes = flattened_bytes({{0, pattern(100)}}, false);
    const size_t at = bytes.size();
    test::put<uint64_t>(bytes, at, offset, ByteOrder::big);
    test::put<uint64_t>(bytes, at + 8, size, ByteOrder::big);
    const auto stream = unflatten_bytes(bytes);
    EXPECT_THAT(stream.warnings, ElementsAre(HasSubstr("damaged at offset 0x1074")));
    EXPECT_EQ(read(stream.file, 0, 1000), pattern(100));
  }
}

TEST(Flattened, RefusesWhatHoldsNothing) {
  EXPECT_THAT(failure_of(flattened_bytes({})), HasSubstr("without a record"));
  EXPECT_THAT(failure_of(flattened_bytes({{5, {}}})), HasSubstr("without a record"));
  Bytes bytes = flattened_bytes({{0, pattern(100)}});
  test::put<uint64_t>(bytes, 24, 2, ByteOrder::big);
  EXPECT_THAT(failure_of(bytes), HasSubstr("type 1 and version 2"));
  bytes.resize(20);
  EXPECT_THAT(failure_of(bytes), HasSubstr("cut off after 20 bytes"));
}

TEST(Flattened, HoldsAnyFormat) {
  test::ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x1000, .data = test::data_of(pattern(0x1000))});
  const Bytes file = test::elf_bytes(elf);
  const MemoryFile stream(flattened_bytes({{0, file}}));
  const auto image = open_image(stream.path());
  EXPECT_EQ(image->traits().format, "ELF core, flattened");
  Bytes out(0x1000);
  EXPECT_EQ(image->read(PhysAddr{0x1000}, out).done, out.size());
  EXPECT_EQ(out, pattern(0x1000));
}

TEST(Flattened, HoldsNoOtherStream) {
  const MemoryFile stream(flattened_bytes({{0, flattened_bytes({{0, pattern(10)}})}}));
  try {
    open_image(stream.path());
    FAIL() << "opened a stream within a stream";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a flattened stream within a flattened stream"));
  }
}

}  // namespace
}  // namespace kvista::image
