#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "codec/crc32c.h"
#include "image/avml_image.h"
#include "image/open.h"
#include "images/avml_builder.h"
#include "unit/bytes.h"
#include "unit/failure.h"
#include "unit/memory_file.h"
#include "unit/read_image.h"

namespace kvista::image {
namespace {

using test::avml_block;
using test::Bytes;
using test::failure_of;
using test::MemoryFile;
using test::read;
using test::snappy_chunk;
using test::snappy_data_chunk;
using test::snappy_stream;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kMiB = 1 << 20;
constexpr size_t kSize = 200000;  // four chunks, the last of which is shorter
constexpr size_t kHeader = 32;
constexpr size_t kIdentifier = 10;

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// Compressible, but no byte is like the one 64 KiB before.
Bytes contents(size_t size, unsigned seed = 0) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i / 64 + seed);
  return bytes;
}

Bytes one_block() {
  return avml_block(0x1000, kSize, snappy_stream(contents(kSize)));
}

Bytes two_blocks() {
  Bytes file = one_block();
  append(file, avml_block(0x100000, 0x2000, snappy_stream(contents(0x2000, 9))));
  return file;
}

std::unique_ptr<MemoryImage> open_bytes(const Bytes& bytes) {
  return open_avml(MemoryFile(bytes).open());
}

TEST(Crc32c, HasThePublishedValues) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(codec::crc32c(Bytes(32)), 0x8a9136aaU);
  EXPECT_EQ(codec::crc32c(Bytes(32, std::byte{0xff})), 0x62a8ab43U);
  Bytes rising(32);
  for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<std::byte>(i);
  EXPECT_EQ(codec::crc32c(rising), 0x46dd794eU);
  EXPECT_EQ(codec::crc32c(test::bytes_of("123456789")), 0xe3069283U);
  EXPECT_EQ(codec::crc32c({}), 0U);
}

TEST(Avml, ReadsItsBlocks) {
  const MemoryFile file(two_blocks());
  const auto image = open_image(file.path());
  EXPECT_EQ(image->traits().format, "AVML");
  EXPECT_THAT(image->warnings(), IsEmpty());
  EXPECT_THAT(image->ram(),
              ElementsAre(PhysRange{PhysAddr{0x1000}, kSize}, PhysRange{PhysAddr{0x100000}, 0x2000}));
  EXPECT_EQ(read(*image, 0x1000, kSize), contents(kSize));
  PageState state{};
  EXPECT_EQ(read(*image, 0x100000, 0x3000, &state), contents(0x2000, 9));
  EXPECT_EQ(state, PageState::beyond);
}

// Parts of chunks come through the cache, whole ones past it: both give the same.
TEST(Avml, ReadsAnyPart) {
  const auto image = open_bytes(one_block());
  const Bytes all = contents(kSize);
  for (const size_t size : {1UL, 4096UL, 65536UL, 70000UL, 140000UL})
    for (size_t at = 0; at + size <= kSize; at += 30011) {
      const Bytes want(all.begin() + static_cast<ptrdiff_t>(at),
                       all.begin() + static_cast<ptrdiff_t>(at + size));
      EXPECT_EQ(read(*image, 0x1000 + at, size), want) << at << " " << size;
      EXPECT_EQ(read(*image, 0x1000 + at, size), want) << at << " " << size << " again";
    }
}

// What the cache keeps of one block is not taken for another's.
TEST(Avml, ReadsPartsOfSeveralBlocks) {
  Bytes file;
  for (const size_t block : {0U, 1U, 2U, 3U})
    append(file, avml_block(block * kMiB, kSize - 65536 * block,
                            snappy_stream(contents(kSize - 65536 * block, static_cast<unsigned>(block)))));
  const auto image = open_bytes(file);
  for (int round = 0; round < 2; ++round)
    for (const size_t block : {0U, 1U, 2U, 3U})
      for (size_t at = 0; at + 100 <= kSize - 65536 * block; at += 4096)
        EXPECT_EQ(read(*image, block * kMiB + at, 1).at(0), static_cast<std::byte>(at / 64 + block))
            << block << " " << at;
}

TEST(Avml, ReadsChunksOfEachKind) {
  Bytes random(5000);
  for (size_t i = 0; i < random.size(); ++i) random[i] = static_cast<std::byte>(i * i * 2654435761U >> 13);
  Bytes stream = snappy_chunk(0xff, test::bytes_of("sNaPpY"));
  append(stream, snappy_data_chunk(random));
  append(stream, snappy_chunk(0xfe, Bytes(100)));  // padding
  append(stream, snappy_chunk(0x80, Bytes(7)));
  append(stream, snappy_chunk(0xff, test::bytes_of("sNaPpY")));
  append(stream, snappy_data_chunk(Bytes(3192)));
  ASSERT_EQ(stream.at(kIdentifier), std::byte{1}) << "the first chunk with data is not compressed";
  const auto image = open_bytes(avml_block(0, 8192, stream));
  EXPECT_THAT(image->warnings(), IsEmpty());
  random.resize(8192);
  EXPECT_EQ(read(*image, 0, 8192), random);
}

TEST(Avml, TellsZerosThatWereLeftOutFromWhatIsBeyond) {
  const Bytes stream = snappy_stream(contents(16 * kMiB));
  Bytes file = avml_block(kMiB, 16 * kMiB, stream);
  append(file, avml_block(49 * kMiB, kMiB, snappy_stream(contents(kMiB))));
  append(file, avml_block(80 * kMiB, kMiB, snappy_stream(contents(kMiB))));
  const auto image = open_bytes(file);
  EXPECT_THAT(image->ram(),
              ElementsAre(PhysRange{PhysAddr{kMiB}, 49 * kMiB}, PhysRange{PhysAddr{80 * kMiB}, kMiB}));
  EXPECT_THAT(image->stored(),
              ElementsAre(PhysRange{PhysAddr{kMiB}, 16 * kMiB}, PhysRange{PhysAddr{49 * kMiB}, kMiB},
                          PhysRange{PhysAddr{80 * kMiB}, kMiB}));
  PageState state{};
  EXPECT_EQ(read(*image, 17 * kMiB - 10, 20, &state).size(), 10U);
  EXPECT_EQ(state, PageState::absent);
  EXPECT_THAT(read(*image, 50 * kMiB, 1, &state), IsEmpty());
  EXPECT_EQ(state, PageState::beyond);
}

TEST(Avml, SaysWhichChunkIsDamaged) {
  Bytes file = one_block();
  file.at(kHeader + kIdentifier + 4) ^= std::byte{1};  // the first chunk's checksum
  auto image = open_bytes(file);
  PageState state{};
  EXPECT_THAT(read(*image, 0x1000, kSize, &state), IsEmpty());
  EXPECT_EQ(state, PageState::unreadable);
  EXPECT_THAT(read(*image, 0x1005, 10, &state), IsEmpty());
  EXPECT_EQ(state, PageState::unreadable);
  EXPECT_EQ(read(*image, 0x11000, 16).size(), 16U) << "the next chunk is whole";
  file = one_block();
  for (size_t i = 0; i < 8; ++i) file.at(kHeader + kIdentifier + 12 + i) = std::byte{0xff};  // its data
  image = open_bytes(file);
  EXPECT_THAT(read(*image, 0x1000, 16, &state), IsEmpty());
  EXPECT_EQ(state, PageState::unreadable);
}

TEST(Avml, LosesWhatACutFileLacks) {
  const Bytes whole = two_blocks();
  const size_t first = one_block().size();
  Bytes file = whole;
  file.resize(first / 2);
  auto image = open_bytes(file);
  PageState state{};
  const size_t got = read(*image, 0x1000, kSize, &state).size();
  EXPECT_THAT(got, testing::AllOf(testing::Gt(0U), testing::Lt(kSize)));
  EXPECT_EQ(state, PageState::lost);
  EXPECT_THAT(
      image->warnings(),
      ElementsAre("the file is cut short within the block at offset 0x0: what came behind it is lost",
                  fmt::format("{} bytes of memory that the file's headers name are lost", kSize - got)));
  file = whole;
  file.resize(first - 4);
  image = open_bytes(file);
  EXPECT_EQ(read(*image, 0x1000, kSize), contents(kSize));
  EXPECT_THAT(image->warnings(), ElementsAre("the file is cut short behind the block at offset 0x0"));
  file.resize(first);
  EXPECT_THAT(open_bytes(file)->warnings(), IsEmpty());
  file = whole;
  file.resize(first + 20);
  EXPECT_THAT(open_bytes(file)->warnings(),
              ElementsAre(HasSubstr("is cut short: what follows there is lost")));
}

TEST(Avml, ReadsUpToAChunkThatMakesNoSense) {
  const std::vector<Bytes> bad = {
      snappy_chunk(0x02, Bytes(100)),                          // a type that must not be passed over
      snappy_chunk(0x00, Bytes(3)),                            // no room for the checksum
      snappy_chunk(0x00, Bytes(10, std::byte{0xff})),          // a size of more than three bytes
      snappy_chunk(0x00, test::bytes_of("sum!\x81\x80\x04")),  // of 65537 bytes
      snappy_chunk(0x01, Bytes(65541)),                        // the same, plain
      snappy_chunk(0xff, test::bytes_of("sNaPpX")),            // another stream's identifier
      snappy_data_chunk(contents(60000)),                      // more than the block has
  };
  for (const Bytes& chunk : bad) {
    Bytes stream = snappy_stream(contents(65536));
    append(stream, chunk);
    Bytes file = avml_block(0, 100000, stream);
    append(file, one_block());
    const auto image = open_bytes(file);
    PageState state{};
    EXPECT_EQ(read(*image, 0, 100000, &state), contents(65536));
    EXPECT_EQ(state, PageState::lost);
    EXPECT_THAT(image->warnings(),
                ElementsAre(HasSubstr("makes no sense: what follows there is lost"),
                            "34464 bytes of memory that the file's headers name are lost"));
  }
}

TEST(Avml, WarnsOfALengthThatIsNotTheStreams) {
  Bytes file = two_blocks();
  const size_t at = one_block().size() - 8;
  test::put<uint64_t>(file, at, 5);
  const auto image = open_bytes(file);
  EXPECT_EQ(image->ram().size(), 2U);
  EXPECT_THAT(image->warnings(),
              ElementsAre(fmt::format("1 blocks say a wrong size of their compressed data: the one at offset "
                                      "0x0 has {} bytes, and says 5",
                                      at - kHeader)));
  EXPECT_EQ(read(*image, 0x100000, 0x2000), contents(0x2000, 9));
}

TEST(Avml, CountsOverlappingBlocksOnceAndWarns) {
  Bytes file = avml_block(0x1000, 0x2000, snappy_stream(contents(0x2000)));
  append(file, avml_block(0x2000, 0x2000, snappy_stream(contents(0x2000, 5))));
  const auto image = open_bytes(file);
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x3000}));
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("blocks overlap: 4096 bytes")));
  Bytes want = contents(0x2000);
  const Bytes other = contents(0x2000, 5);
  want.insert(want.end(), other.begin() + 0x1000, other.end());
  EXPECT_EQ(read(*image, 0x1000, 0x3000), want);
}

TEST(Avml, RefusesAFirstHeaderThatMakesNoSense) {
  const auto failure = [](const Bytes& bytes) { return failure_of([&] { open_bytes(bytes); }); };
  Bytes file = one_block();
  test::put<uint64_t>(file, 16, 0xfff);
  EXPECT_THAT(failure(file), HasSubstr("an AVML dump whose first range, 0x1000-0xfff, makes no sense"));
  test::put<uint32_t>(file, 4, 3);
  EXPECT_THAT(failure(file), HasSubstr("an AVML dump of version 3; known is only version 2"));
  file.resize(31);
  EXPECT_THAT(failure(file), HasSubstr("cut off"));
  file = one_block();
  test::put<uint64_t>(file, 16, uint64_t{1} << 40);
  EXPECT_THAT(failure(file), HasSubstr("makes no sense"));
}

}  // namespace
}  // namespace kvista::image
