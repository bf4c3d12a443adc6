#include "codec/codec.h"

#include <gtest/gtest.h>

#include <array>

#include "base/error.h"
#include "base/parallel.h"
#include "images/compress.h"
#include "unit/bytes.h"

namespace kvista::codec {
namespace {

using test::Bytes;
using test::compress;
using test::pattern;

std::vector<Codec> available() {
  std::vector<Codec> codecs;
  for (const Codec codec : {Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd})
    if (is_available(codec)) codecs.push_back(codec);
  return codecs;
}

TEST(Codec, GivesBackWhatWasCompressed) {
  for (const Codec codec : available()) {
    for (const size_t page : {size_t{1}, size_t{4096}, size_t{65536}, size_t{1} << 20}) {
      const Bytes bytes = pattern(page, 3);
      Bytes out(page);
      EXPECT_TRUE(decompress_exactly(codec, compress(codec, bytes), out)) << describe(codec);
      EXPECT_EQ(out, bytes) << describe(codec);
    }
  }
}

TEST(Codec, SaysHowMuchItGave) {
  for (const Codec codec : available()) {
    Bytes out(4096);
    size_t size = 0;
    EXPECT_TRUE(decompress(codec, compress(codec, pattern(1000)), out, size)) << describe(codec);
    EXPECT_EQ(size, 1000U) << describe(codec);
  }
}

TEST(Codec, AcceptsNoOtherSizeThanTheOneAskedFor) {
  for (const Codec codec : available()) {
    const Bytes in = compress(codec, pattern(4096));
    for (const size_t size : {size_t{0}, size_t{4095}, size_t{4097}, size_t{8192}}) {
      Bytes out(size);
      EXPECT_FALSE(decompress_exactly(codec, in, out)) << describe(codec) << " into " << size;
    }
  }
}

TEST(Codec, RefusesWhatIsCutShort) {
  for (const Codec codec : available()) {
    const Bytes in = compress(codec, pattern(4096));
    Bytes out(4096);
    for (size_t size = 0; size < in.size(); ++size)
      EXPECT_FALSE(decompress_exactly(codec, std::span(in).first(size), out)) << describe(codec) << size;
  }
}

// What damage gives is up to the codec, but it stays within the buffers.
TEST(Codec, SurvivesDamage) {
  for (const Codec codec : available()) {
    Bytes in = compress(codec, pattern(4096));
    Bytes out(4096);
    for (size_t at = 0; at < in.size(); ++at) {
      for (const std::byte damage : {std::byte{0xff}, std::byte{0x01}, std::byte{0x80}}) {
        in[at] ^= damage;
        size_t size = 0;
        if (decompress(codec, in, out, size)) {
          EXPECT_LE(size, out.size());
        }
        in[at] ^= damage;
      }
    }
    EXPECT_TRUE(decompress_exactly(codec, in, out)) << "and works on after failures";
  }
}

TEST(Codec, RefusesAnotherCodecsData) {
  for (const Codec from : available()) {
    for (const Codec to : available()) {
      if (from == to) continue;
      Bytes out(4096);
      const bool taken = decompress_exactly(to, compress(from, pattern(4096)), out);
      EXPECT_TRUE(!taken || out != pattern(4096)) << describe(from) << " as " << describe(to);
    }
  }
}

TEST(Codec, WorksInSeveralThreads) {
  const auto codecs = available();
  std::vector<Bytes> in;
  in.reserve(codecs.size());
  for (const Codec codec : codecs) in.push_back(compress(codec, pattern(4096, 9)));
  std::array<Bytes, 400> out;
  parallel_for(out.size(), 4, [&](size_t item, unsigned) {
    out.at(item).resize(4096);
    decompress_exactly(codecs[item % codecs.size()], in[item % codecs.size()], out.at(item));
  });
  for (const Bytes& page : out) EXPECT_EQ(page, pattern(4096, 9));
}

TEST(Codec, SaysThatLzoIsLeftOutWhereItIs) {
  Bytes out(1);
  if (is_available(Codec::lzo))
    EXPECT_FALSE(decompress_exactly(Codec::lzo, pattern(10), out)) << "no damage, and no other answer";
  else
    EXPECT_THROW(decompress_exactly(Codec::lzo, pattern(10), out), Unsupported);
}

}  // namespace
}  // namespace kvista::codec
