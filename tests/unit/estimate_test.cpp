// Whether an estimate tells what the dump then is.
#include "dump/estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/bits.h"
#include "codec/codec.h"
#include "dump/page_sample.h"
#include "dump/writer.h"
#include "image/open.h"
#include "images/image.h"
#include "images/temporary.h"
#include "kernel/session.h"

namespace kvista::dump {
namespace {

// Pages of zeros, pages that compress well, and pages that do not, in several classes.
constexpr const char* kDescription =
    "pages 0x400-0x7ff class=buddy order=10\n"
    "pages 0x800-0xbff class=anon\n"
    "pages 0xc00-0xcff class=lru\n"
    "pages 0xf00-0xfff class=slab order=3\n"
    "contents random 0x800000-0xa00000\n"
    "contents pattern 0xb00000-0x1400000\n";

class Estimates : public testing::Test {
 protected:
  Estimates() { test::TestImage(kDescription).write(source_); }

  kernel::Session session() const { return {image::open_image(source_), {}}; }

  DumpRequest request(unsigned level, std::optional<codec::Codec> codec) const {
    DumpRequest request;
    request.outputs = {directory_.file("dump")};
    request.overwrite = true;
    request.level = level;
    request.codec = codec;
    request.threads = 2;
    return request;
  }

  test::TemporaryDirectory directory_;
  std::string source_ = directory_.file("vmcore");
};

TEST_F(Estimates, HoldTheTrueSize) {
  for (const unsigned level : {0U, 16U, 31U}) {
    for (const auto codec : {std::optional<codec::Codec>(), std::optional(codec::Codec::zstd)}) {
      const DumpRequest wanted = request(level, codec);
      const DumpResult written = write_dump(session(), wanted);
      // The interval is for 95 of 100 samples: of 20, three and more outside it are too many by far.
      unsigned outside = 0;
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const Estimate found = estimate(session(), wanted, 1000, seed);
        EXPECT_EQ(found.pages, written.planned);
        EXPECT_EQ(found.frames, written.frames);
        if (std::abs(found.bytes - static_cast<double>(written.bytes)) > found.error) ++outside;
        EXPECT_LT(found.error, 0.5 * static_cast<double>(written.bytes));
      }
      EXPECT_LE(outside, 3U) << "level " << level;
    }
  }
}

TEST_F(Estimates, OfAllPagesAreExact) {
  const DumpRequest wanted = request(31, codec::Codec::zlib);
  const DumpResult written = write_dump(session(), wanted);
  const Estimate found = estimate(session(), wanted, 100000, 0);
  EXPECT_EQ(found.error, 0);
  EXPECT_EQ(static_cast<uint64_t>(std::llround(found.bytes)), written.bytes);
}

TEST_F(Estimates, AreTheSameWithAnyNumberOfThreads) {
  DumpRequest wanted = request(0, codec::Codec::zlib);
  wanted.threads = 1;
  const Estimate one = estimate(session(), wanted, 500, 7);
  wanted.threads = 5;
  const Estimate many = estimate(session(), wanted, 500, 7);
  EXPECT_EQ(one.bytes, many.bytes);
  EXPECT_EQ(one.error, many.error);
  EXPECT_NE(one.bytes, estimate(session(), wanted, 500, 8).bytes);
}

TEST_F(Estimates, WriteNothing) {
  const DumpRequest wanted = request(0, codec::Codec::zlib);
  estimate(session(), wanted, 100, 0);
  EXPECT_FALSE(std::filesystem::exists(wanted.outputs.front()));
}

TEST_F(Estimates, NameEachPartOfTheMemoryToReserve) {
  const auto assumed = memory_needs(session(), {}, 4096);
  const auto known = memory_needs(session(), {uint64_t{10} << 20, uint64_t{100} << 20, 4}, 4096);
  uint64_t sum = 0;
  for (const MemoryNeed& need : known) sum += need.bytes;
  EXPECT_GE(reservation_mib(known), sum >> 20);
  EXPECT_LE(reservation_mib(known), (sum >> 20) + 16);
  EXPECT_EQ(reservation_mib(known) % 16, 0U);
  EXPECT_GT(reservation_mib(known), reservation_mib(assumed));
  EXPECT_EQ(known.front().bytes, uint64_t{10} << 20);
  // Of larger pages there are fewer.
  const auto of_large_pages = memory_needs(session(), {}, 65536);
  EXPECT_EQ(assumed.back().bytes / 16, of_large_pages.back().bytes);
}

// Each frame is as likely in the sample as any other, wherever it is.
TEST(PageSamples, AreSpreadEvenly) {
  constexpr uint64_t kFrames = 64000;
  PageSample sample(1, 3, 6400);
  const std::vector<pages::ClassByte> classes(kFrames);
  const std::vector<std::byte> kept(kFrames / 8, std::byte{0xff});
  sample.add(Pfn{0}, classes, kept, 0);
  const auto sorts = sample.sorts();
  ASSERT_EQ(sorts.size(), 1U);
  EXPECT_EQ(sorts[0].frames, kFrames);
  ASSERT_EQ(sorts[0].pfns.size(), 6400U);
  std::array<unsigned, 10> tenths{};
  for (const Pfn pfn : sorts[0].pfns) ++tenths.at(pfn.value * 10 / kFrames);
  for (const unsigned count : tenths) EXPECT_NEAR(count, 640, 100);  // four standard deviations
}

TEST(PageSamples, HaveOnlyFramesThatAreKept) {
  PageSample sample(2, 0, 1000);
  const std::vector<pages::ClassByte> classes(128);
  std::vector<std::byte> kept(16);
  set_bits(kept, 10, 20);
  sample.add(Pfn{1000}, classes, kept, 1);
  const auto sorts = sample.sorts();
  ASSERT_EQ(sorts.size(), 1U);
  EXPECT_EQ(sorts[0].frames, 10U);
  for (const Pfn pfn : sorts[0].pfns) {
    EXPECT_GE(pfn.value, 1010U);
    EXPECT_LT(pfn.value, 1020U);
  }
}

}  // namespace
}  // namespace kvista::dump
