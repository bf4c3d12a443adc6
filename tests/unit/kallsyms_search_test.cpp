#include "decode/kallsyms_search.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "images/byte_writer.h"
#include "unit/kallsyms_blob.h"

namespace kvista::decode {
namespace {

using test::Bytes;
using test::ByteWriter;
using test::KallsymsBlob;

constexpr VirtAddr kImage{0xffffffff81000000};
constexpr uint64_t kBase = 0xffffffff81000000;
constexpr size_t kSymbols = 1000;
constexpr uint64_t kStextAt = 7 * 16;  // of the symbol 7, of 16 bytes each

struct Shape {
  unsigned marker_width = 4;
  bool absolute = false;
  size_t before = 4096;  // of other data
  size_t symbols = kSymbols;
  ByteOrder order = ByteOrder::little;
};

std::string name_of(size_t i) {
  return i == 7 ? "_stext" : fmt::format("symbol_{}", i);
}

void pad(ByteWriter& out) {
  while (out.size() % 8 != 0) out.u8(0);
}

void add_offsets(ByteWriter& out, const Shape& shape) {
  for (size_t i = 0; i < shape.symbols; ++i) {
    if (shape.absolute)
      out.u64(kBase + i * 16);
    else
      out.u32(static_cast<uint32_t>(i * 16));
  }
  pad(out);
  if (!shape.absolute) out.u64(kBase);
}

std::vector<uint64_t> add_names(ByteWriter& out, size_t symbols) {
  std::vector<uint64_t> markers;
  const size_t start = out.size();
  for (size_t i = 0; i < symbols; ++i) {
    if (i % 256 == 0) markers.push_back(out.size() - start);
    const std::string text = "T" + name_of(i);
    out.u8(static_cast<uint8_t>(text.size()));
    out.text(text);
  }
  pad(out);
  return markers;
}

// Characters stand for themselves; the other codes for text that no name has, as a real table has no empty
// token.
void add_tokens(ByteWriter& out) {
  std::vector<uint16_t> index;
  const size_t start = out.size();
  for (unsigned i = 0; i < 256; ++i) {
    index.push_back(static_cast<uint16_t>(out.size() - start));
    out.text(i > ' ' && i < 0x7f ? std::string(1, static_cast<char>(i)) : fmt::format("~{}", i));
    out.u8(0);
  }
  pad(out);
  for (const uint16_t at : index) out.u16(at);
}

// A kernel image with tables in the order that scripts/kallsyms.c wrote them in until 6.1.
Bytes old_kernel(const Shape& shape) {
  ByteWriter out(shape.order);
  for (size_t i = 0; i < shape.before; ++i) out.u8(static_cast<uint8_t>(i * 7));
  pad(out);
  add_offsets(out, shape);
  if (shape.marker_width == 4)
    out.u32(static_cast<uint32_t>(shape.symbols));
  else
    out.u64(shape.symbols);
  pad(out);
  const auto markers = add_names(out, shape.symbols);
  for (const uint64_t marker : markers) {
    if (shape.marker_width == 4)
      out.u32(static_cast<uint32_t>(marker));
    else
      out.u64(marker);
  }
  pad(out);
  add_tokens(out);
  for (size_t i = 0; i < 4096; ++i) out.u8(0xcc);
  return out.take();
}

void expect_found(const Shape& shape, KallsymsEncoding encoding) {
  const Bytes bytes = old_kernel(shape);
  const VirtReader read = KallsymsBlob::reader_of(kImage, bytes);
  const auto tables = search_kallsyms(read, {kImage, kImage + (bytes.size() - 1)}, shape.order);
  ASSERT_EQ(tables.size(), 1U);
  const Kallsyms::Known known{"_stext", VirtAddr{kBase + kStextAt}};
  const Kallsyms kallsyms(read, tables[0], shape.order, 8, std::span(&known, 1));
  EXPECT_EQ(kallsyms.encoding(), encoding);
  EXPECT_EQ(kallsyms.size(), shape.symbols);
  size_t i = 0;
  kallsyms.for_each([&](const KallsymsSymbol& symbol) {
    EXPECT_EQ(symbol.name, name_of(i));
    EXPECT_EQ(symbol.address, VirtAddr{kBase + i * 16});
    ++i;
  });
  EXPECT_EQ(i, shape.symbols);
}

TEST(KallsymsSearch, FindsTheTablesOfKernelsBefore6_0) {
  expect_found({}, KallsymsEncoding::base_relative);
}

// Most of a kernel's image is text, which a filtered dump would have to unpack.
TEST(KallsymsSearch, ReadsLittleOfALargeImage) {
  constexpr size_t kText = size_t{24} << 20;
  const Bytes bytes = old_kernel({4, false, kText, 40'000});
  const VirtReader whole = KallsymsBlob::reader_of(kImage, bytes);
  size_t bytes_read = 0;
  const VirtReader read = [&](VirtAddr at, std::span<std::byte> out) {
    bytes_read += out.size();
    return whole(at, out);
  };
  const auto tables = search_kallsyms(read, {kImage, kImage + (bytes.size() - 1)}, ByteOrder::little);
  ASSERT_EQ(tables.size(), 1U);
  const Kallsyms::Known known{"_stext", VirtAddr{kBase + kStextAt}};
  EXPECT_EQ(Kallsyms(whole, tables[0], ByteOrder::little, 8, std::span(&known, 1)).size(), 40'000U);
  EXPECT_LT(bytes_read, kText / 4);
}

// The kernel frees what is between its text and its read-only data, and a filtered dump lacks it.
TEST(KallsymsSearch, PassesOverPagesThatAreNotThere) {
  constexpr uint64_t kGap = 0x1000;
  constexpr uint64_t kGapEnd = 0x3000;
  const Bytes bytes = old_kernel({4, false, 0x4000});
  const VirtReader whole = KallsymsBlob::reader_of(kImage, bytes);
  const VirtReader read = [&](VirtAddr at, std::span<std::byte> out) -> size_t {
    const uint64_t from = at - kImage;
    if (from >= kGap && from < kGapEnd) return 0;
    return whole(at, from < kGap ? out.first(std::min<uint64_t>(out.size(), kGap - from)) : out);
  };
  const VirtRange image{kImage, kImage + (bytes.size() - 1)};
  const auto tables = search_kallsyms(read, image, ByteOrder::little);
  ASSERT_FALSE(tables.empty());
  EXPECT_EQ(tables.front().names, search_kallsyms(whole, image, ByteOrder::little).front().names);
}

TEST(KallsymsSearch, FindsMarkersThatAreWords) {
  expect_found({8, false, 4096}, KallsymsEncoding::base_relative);
}

TEST(KallsymsSearch, FindsAbsoluteAddresses) {
  expect_found({4, true, 4096}, KallsymsEncoding::absolute);
}

TEST(KallsymsSearch, FindsTablesOfBigEndianKernels) {
  // Of 1000 symbols, the halves of markers that are words would still pass for markers of 4 bytes.
  constexpr size_t kMoreSymbols = 3000;
  for (const unsigned width : {4U, 8U})
    for (const bool absolute : {false, true}) {
      SCOPED_TRACE(fmt::format("{}, absolute: {}", width, absolute));
      expect_found({width, absolute, 4096, kMoreSymbols, ByteOrder::big},
                   absolute ? KallsymsEncoding::absolute : KallsymsEncoding::base_relative);
    }
}

TEST(KallsymsSearch, FindsTablesAcrossTheEdgeOfAWindow) {
  // The token index begins in the last bytes of the first MiB.
  const size_t tables = old_kernel({4, false, 0}).size();
  for (size_t back = 0; back < 1024; back += 128)
    expect_found({4, false, (size_t{1} << 20) - tables + 4096 + back}, KallsymsEncoding::base_relative);
}

// A second one can be a copy of the kernel before kexec: which one holds is not for the search to say.
TEST(KallsymsSearch, FindsEveryTable) {
  Bytes bytes = old_kernel({});
  const Bytes again = old_kernel({4, true, 4096});
  bytes.insert(bytes.end(), again.begin(), again.end());
  const auto tables = search_kallsyms(KallsymsBlob::reader_of(kImage, bytes),
                                      {kImage, kImage + (bytes.size() - 1)}, ByteOrder::little);
  ASSERT_EQ(tables.size(), 2U);
  EXPECT_LT(tables[0].names, tables[1].names);
}

TEST(KallsymsSearch, FindsNothingWhereThereIsNoTable) {
  const Bytes zeros(size_t{3} << 20);
  const auto search = [](const Bytes& bytes, uint64_t size) {
    return search_kallsyms(KallsymsBlob::reader_of(kImage, bytes), {kImage, kImage + (size - 1)},
                           ByteOrder::little);
  };
  EXPECT_TRUE(search(zeros, zeros.size()).empty());
  EXPECT_TRUE(search({}, 0x100000).empty());
}

TEST(KallsymsSearch, FindsNothingWhereATableIsDamaged) {
  const Bytes good = old_kernel({});
  size_t found = 0;
  size_t tried = 0;
  // From the number of symbols on, a byte that is not what it was leads nowhere, or to other symbols: never
  // out of bounds.
  for (size_t at = 4096; at < good.size(); at += 97) {
    Bytes bad = good;
    bad[at] ^= std::byte{0xff};
    const VirtReader read = KallsymsBlob::reader_of(kImage, bad);
    found += search_kallsyms(read, {kImage, kImage + (bad.size() - 1)}, ByteOrder::little).size();
    ++tried;
  }
  EXPECT_GT(tried, 100U);
  EXPECT_LT(found, tried);
}

}  // namespace
}  // namespace kvista::decode
