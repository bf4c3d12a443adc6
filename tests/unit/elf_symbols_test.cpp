#include "decode/elf_symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "base/error.h"
#include "images/vmlinux_builder.h"
#include "unit/failure.h"

namespace kvista::decode {
namespace {

using Bytes = std::vector<std::byte>;
using ::testing::HasSubstr;

constexpr std::array<std::string_view, 2> kNames = {"_stext", "init_uts_ns"};
const std::vector<test::Symbol> kSymbols = {
    {"_stext", 'T', 0x81000000}, {"other", 'T', 0x81000040}, {"init_uts_ns", 'D', 0x82001000}};

FileReader reader_of(const Bytes& bytes) {
  return [&bytes](uint64_t offset, std::span<std::byte> out) {
    const size_t size = offset >= bytes.size() ? 0 : std::min<size_t>(out.size(), bytes.size() - offset);
    if (size != 0) std::memcpy(out.data(), &bytes[offset], size);
    return size;
  };
}

FoundSymbols read(const Bytes& bytes) {
  return read_elf_symbols(reader_of(bytes), kNames);
}

TEST(ElfSymbols, EveryClassAndByteOrder) {
  for (const unsigned word_size : {4U, 8U}) {
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      for (const bool counted : {false, true}) {
        const FoundSymbols found =
            read(test::vmlinux_bytes(kSymbols, {order, word_size, "00ffee11", false, counted}));
        ASSERT_EQ(found.addresses.size(), 2U);
        EXPECT_EQ(found.addresses.at("_stext"), std::set{VirtAddr{0x81000000}}) << "undefined, or a file's";
        EXPECT_EQ(found.addresses.at("init_uts_ns"), std::set{VirtAddr{0x82001000}});
        EXPECT_EQ(found.count, 3U);
        EXPECT_EQ(found.nonzero, 3U);
        EXPECT_EQ(found.build_id, "00ffee11");
      }
    }
  }
}

TEST(ElfSymbols, KeepsAllAddressesOfAName) {
  auto symbols = kSymbols;
  symbols.push_back({"_stext", 't', 0x81002000});
  EXPECT_EQ(read(test::vmlinux_bytes(symbols, {})).addresses.at("_stext").size(), 2U);
}

TEST(ElfSymbols, StrippedFileHasNone) {
  const FoundSymbols found = read(test::vmlinux_bytes(kSymbols, {.build_id = "aa", .stripped = true}));
  EXPECT_EQ(found.count, 0U);
  EXPECT_EQ(found.build_id, "aa");
}

TEST(ElfSymbols, WhatIsCutIsRefused) {
  const Bytes whole = test::vmlinux_bytes(kSymbols, {});
  for (size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(test::failure_of<FormatError>([&] { read(cut); }), HasSubstr(" is cut")) << size;
  }
}

TEST(ElfSymbols, NoDamageLeadsBeyondTheFile) {
  const Bytes whole = test::vmlinux_bytes(kSymbols, {});
  size_t refused = 0;
  for (size_t at = 4; at < whole.size(); ++at) {
    Bytes bad = whole;
    bad[at] ^= std::byte{0xff};
    if (test::failure_of<FormatError>([&] { read(bad); }) != "no failure") ++refused;
  }
  EXPECT_GT(refused, 20U);
}

TEST(ElfSymbols, AbsurdHeadersAreRefused) {
  const Bytes whole = test::vmlinux_bytes(kSymbols, {});
  Bytes bad = whole;
  bad[4] = std::byte{3};
  EXPECT_THAT(test::failure_of<FormatError>([&] { read(bad); }), HasSubstr("ELF class 3"));
  bad = whole;
  bad[58] = std::byte{10};
  EXPECT_THAT(test::failure_of<FormatError>([&] { read(bad); }), HasSubstr("section headers of 10 bytes"));
}

}  // namespace
}  // namespace kvista::decode
