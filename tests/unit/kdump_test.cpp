#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/kdump_image.h"
#include "image/open.h"
#include "images/kdump_builder.h"
#include "unit/bytes.h"
#include "unit/failure.h"
#include "unit/memory_file.h"

namespace kvista::image {
namespace {

using codec::Codec;
using test::Bytes;
using test::KdumpDescription;
using test::MemoryFile;
using test::pattern;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kFrames = 40000;  // more than one piece of the bitmap

// Pages of all kinds: of zeros, that compress, that do not.
Bytes page_of(uint64_t pfn, size_t size) {
  if (pfn % 5 == 0) return Bytes(size);
  Bytes page = pattern(size, static_cast<unsigned>(pfn));
  if (pfn % 3 == 0)
    for (size_t i = 0; i < size; ++i) page[i] ^= static_cast<std::byte>((i * i * 2654435761U) >> 13);
  return page;
}

KdumpDescription small_dump() {
  KdumpDescription kdump;
  kdump.max_mapnr = kFrames;
  for (const auto& [first, end] : {std::pair{1, 20}, std::pair{32700, 32900}, std::pair{39990, 40000}})
    for (int pfn = first; pfn < end; ++pfn) kdump.memory.insert(static_cast<uint64_t>(pfn));
  kdump.excluded = {3, 4, 32767, 39990};
  kdump.page = [](uint64_t pfn) { return page_of(pfn, 4096); };
  kdump.vmcoreinfo = "OSRELEASE=6.12.0-test\nPAGESIZE=4096\n";
  return kdump;
}

std::unique_ptr<MemoryImage> open_described(const KdumpDescription& kdump) {
  return open_kdump(MemoryFile(test::kdump_bytes(kdump)).open());
}

std::string failure_of(const Bytes& bytes) {
  return test::failure_of([&] { open_kdump(MemoryFile(bytes).open()); });
}

PageState state_at(const MemoryImage& image, uint64_t address) {
  Bytes byte(1);
  return image.read(PhysAddr{address}, byte).state;
}

// Every page, copied and looked at, alone and many at once.
void expect_pages(const MemoryImage& image, const KdumpDescription& kdump) {
  const uint64_t size = kdump.block_size;
  for (const uint64_t pfn : kdump.memory) {
    Bytes page(size);
    const ReadResult result = image.read(PhysAddr{pfn * size}, page);
    if (kdump.excluded.contains(pfn)) {
      EXPECT_EQ(result.done, 0U);
      EXPECT_EQ(result.state, PageState::excluded) << pfn;
      continue;
    }
    ASSERT_EQ(result.done, size) << pfn;
    EXPECT_EQ(page, kdump.page(pfn)) << pfn;
  }
  Window window;
  const View view = image.view(PhysAddr{32768 * size}, 132 * size, window);
  ASSERT_EQ(view.bytes.size(), 132 * size);
  Bytes all(132 * size);
  EXPECT_EQ(image.read(PhysAddr{32768 * size}, all).done, all.size());
  EXPECT_TRUE(std::equal(all.begin(), all.end(), view.bytes.begin()));
  for (uint64_t i = 0; i < 132; ++i) {
    const auto page = view.bytes.subspan(i * size, size);
    EXPECT_EQ(Bytes(page.begin(), page.end()), kdump.page(32768 + i));
  }
}

TEST(Kdump, ReadsEveryCodec) {
  for (const Codec codec : {Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd}) {
    if (!codec::is_available(codec)) continue;
    KdumpDescription kdump = small_dump();
    kdump.codecs = {codec};
    expect_pages(*open_described(kdump), kdump);
  }
}

TEST(Kdump, ReadsPagesThatAreNotCompressedAndCodecsInOneFile) {
  KdumpDescription kdump = small_dump();
  kdump.codecs = {};
  expect_pages(*open_described(kdump), kdump);
  kdump.codecs = {Codec::zlib, Codec::zstd, Codec::snappy};
  expect_pages(*open_described(kdump), kdump);
}

TEST(Kdump, HasTheNotesOfCpusAndVmcoreinfoOnce) {
  KdumpDescription kdump = small_dump();
  kdump.notes = {{"CORE", 1, pattern(336, 1)}, {"QEMU", 0, pattern(432, 2)}};
  const auto image = open_described(kdump);
  std::vector<std::string> names;
  for (const Note& note : image->notes()) names.push_back(note.name);
  EXPECT_THAT(names, ElementsAre("CORE", "QEMU", "VMCOREINFO")) << "as they stand in the file";
  EXPECT_EQ(image->read_note(image->notes()[2], 4096), test::bytes_of(kdump.vmcoreinfo));
  EXPECT_EQ(image->read_note(image->notes()[1], 4096), pattern(432, 2));
}

TEST(Kdump, ReadsEveryVersionWordSizeAndByteOrder) {
  for (unsigned version = 1; version <= 6; ++version)
    for (const unsigned word_size : {4U, 8U})
      for (const unsigned alignment : {4U, 8U})
        for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
          KdumpDescription kdump = small_dump();
          kdump.version = version;
          kdump.word_size = word_size;
          kdump.wide_alignment = alignment;
          kdump.byte_order = order;
          kdump.machine = word_size == 8 ? "s390x" : alignment == 4 ? "i686" : "armv7l";
          const auto image = open_described(kdump);
          EXPECT_EQ(image->traits().format, "kdump-compressed v" + std::to_string(version));
          EXPECT_EQ(image->traits().byte_order, order);
          EXPECT_EQ(image->traits().word_size, word_size);
          EXPECT_EQ(image->traits().elf_machine, word_size == 8 ? 22 : alignment == 4 ? 3 : 40);
          EXPECT_THAT(image->warnings(), IsEmpty());
          ASSERT_EQ(image->notes().size(), version >= 3 ? 1U : 0U);
          if (version >= 3) {
            EXPECT_EQ(image->read_note(image->notes()[0], 4096), test::bytes_of(kdump.vmcoreinfo));
          }
          expect_pages(*image, kdump);
        }
}

TEST(Kdump, ReadsLargePages) {
  KdumpDescription kdump = small_dump();
  kdump.block_size = 65536;
  kdump.page = [](uint64_t pfn) { return page_of(pfn, 65536); };
  expect_pages(*open_described(kdump), kdump);
}

TEST(Kdump, ReadsTheOldSignature) {
  KdumpDescription kdump = small_dump();
  kdump.signature = "DISKDUMP";
  kdump.version = 1;
  expect_pages(*open_described(kdump), kdump);
}

TEST(Kdump, TellsMemoryFromWhatIsExcludedAndBeyond) {
  const auto image = open_described(small_dump());
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 19 * 0x1000},
                                        PhysRange{PhysAddr{0x7fbc000}, 200 * 0x1000},
                                        PhysRange{PhysAddr{0x9c36000}, 10 * 0x1000}));
  EXPECT_EQ(state_at(*image, 0), PageState::beyond);
  EXPECT_EQ(state_at(*image, 0x1000), PageState::present);
  EXPECT_EQ(state_at(*image, 0x3fff), PageState::excluded);
  EXPECT_EQ(state_at(*image, 20 * 0x1000), PageState::beyond);
  EXPECT_EQ(state_at(*image, kFrames * 0x1000), PageState::beyond);
  EXPECT_EQ(state_at(*image, UINT64_MAX), PageState::beyond);
}

// QEMU's blocks of an arm64 machine have 64 KiB, and its kernel's pages often 4 KiB.
TEST(Kdump, TellsWhatItLacksInPagesOfAnySize) {
  constexpr unsigned kBlockShift = 14;
  KdumpDescription kdump = small_dump();
  kdump.block_size = 1U << kBlockShift;
  kdump.page = [](uint64_t pfn) { return page_of(pfn, 1U << kBlockShift); };
  const auto image = open_described(kdump);
  constexpr uint64_t kBits = 256;
  for (const unsigned shift : {12U, 14U, 16U}) {
    for (const uint64_t block : {0, 32640}) {
      const uint64_t start = (block << kBlockShift >> shift) / 64 * 64;
      Bytes bits(kBits / 8, std::byte{0xff});
      image->clear_missing(Pfn{start}, shift, bits);
      for (uint64_t i = 0; i < kBits; ++i) {
        // A page is held where all of it is.
        const uint64_t from = (start + i) << shift >> kBlockShift;
        const uint64_t to = (((start + i + 1) << shift) - 1) >> kBlockShift;
        bool held = true;
        for (uint64_t part = from; part <= to; ++part)
          held = held && kdump.memory.contains(part) && !kdump.excluded.contains(part);
        EXPECT_EQ((std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1U) != 0, held)
            << "page " << start + i << " of " << (1U << shift) << " bytes";
      }
    }
  }
}

TEST(Kdump, LosesWhatAnIncompleteDumpLacks) {
  KdumpDescription kdump = small_dump();
  kdump.status = 8;
  kdump.pages_written = 10;
  const auto image = open_described(kdump);
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("incomplete")));
  EXPECT_EQ(state_at(*image, 0x1000), PageState::present);
  EXPECT_EQ(state_at(*image, 32700 * uint64_t{4096}), PageState::lost);
}

TEST(Kdump, LosesWhatACutFileLacks) {
  KdumpDescription kdump = small_dump();
  Bytes bytes = test::kdump_bytes(kdump);
  bytes.resize(bytes.size() - 100);
  const auto image = open_kdump(MemoryFile(bytes).open());
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("the file is cut short: its pages end at")));
  EXPECT_EQ(state_at(*image, 39999 * uint64_t{4096}), PageState::lost);
  bytes.resize(test::kdump_descriptors_at(kdump) + 240);
  const auto shorter = open_kdump(MemoryFile(bytes).open());
  EXPECT_THAT(shorter->warnings(), ElementsAre(HasSubstr("215 of 225 pages have no descriptor")));
  EXPECT_EQ(state_at(*shorter, 0x1000), PageState::lost);
  EXPECT_EQ(state_at(*shorter, 39999 * uint64_t{4096}), PageState::lost);
}

TEST(Kdump, CallsDamagedPagesUnreadable) {
  const KdumpDescription kdump = small_dump();
  const Bytes good = test::kdump_bytes(kdump);
  const uint64_t at = test::kdump_descriptors_at(kdump);
  const auto state_with = [&](uint64_t field, auto value) {
    Bytes bytes = good;
    test::put(bytes, at + field, value);
    return state_at(*open_kdump(MemoryFile(bytes).open()), 0x1000);
  };
  EXPECT_EQ(state_with(0, uint64_t{16}), PageState::unreadable) << "points into the headers";
  EXPECT_EQ(state_with(0, UINT64_MAX), PageState::unreadable);
  EXPECT_EQ(state_with(8, uint32_t{0}), PageState::unreadable);
  EXPECT_EQ(state_with(8, uint32_t{4097}), PageState::unreadable);
  EXPECT_EQ(state_with(8, uint32_t{4}), PageState::unreadable) << "cut data";
  EXPECT_EQ(state_with(12, uint32_t{3}), PageState::unreadable) << "two codecs";
  EXPECT_EQ(state_with(12, uint32_t{0x40}), PageState::unreadable) << "no codec";
  EXPECT_EQ(state_with(12, uint32_t{0x20}), PageState::unreadable) << "another codec";
}

// Alone or among others: the answer is the same.
TEST(Kdump, CallsBothOfTwoPagesThatOverlapUnreadable) {
  KdumpDescription kdump = small_dump();
  kdump.codecs = {};
  Bytes bytes = test::kdump_bytes(kdump);
  const uint64_t at = test::kdump_descriptors_at(kdump);
  // Page frames 1, 2, 5 (zeros), 6, 7, 8: the fifth page begins within the fourth.
  test::put(bytes, at + 4 * 24, load<uint64_t>(&bytes[at + 3 * 24], ByteOrder::little) + 16);
  const auto image = open_kdump(MemoryFile(bytes).open());
  EXPECT_EQ(state_at(*image, 0x5000), PageState::present);
  EXPECT_EQ(state_at(*image, 0x6000), PageState::unreadable);
  EXPECT_EQ(state_at(*image, 0x7000), PageState::unreadable);
  EXPECT_EQ(state_at(*image, 0x8000), PageState::present);
  Bytes four(4 * 4096);
  const ReadResult result = image->read(PhysAddr{0x5000}, four);
  EXPECT_EQ(result.done, 4096U);
  EXPECT_EQ(result.state, PageState::unreadable);
}

TEST(Kdump, RefusesHeadersThatMakeNoSense) {
  const KdumpDescription kdump = small_dump();
  const auto with = [&](size_t at, auto value) {
    Bytes bytes = test::kdump_bytes(kdump);
    test::put(bytes, at, value);
    return failure_of(bytes);
  };
  EXPECT_THAT(with(8, uint32_t{7}), HasSubstr("newer than this kvista"));
  EXPECT_THAT(with(8, uint32_t{0x12345678}), HasSubstr("a kdump header of version 0x12345678"));
  EXPECT_THAT(with(428, uint32_t{12345}), HasSubstr("which no machine has"));
  EXPECT_THAT(with(432, uint32_t{0}), HasSubstr("sub header of 0 blocks"));
  EXPECT_THAT(with(432, UINT32_MAX), HasSubstr("do not fit the file"));
  EXPECT_THAT(with(436, UINT32_MAX), HasSubstr("do not fit the file"));
  EXPECT_THAT(with(436, uint32_t{0}), HasSubstr("have room for 0"));
  EXPECT_THAT(with(4096 + 96, UINT64_MAX), HasSubstr("have room for"));
  EXPECT_THAT(failure_of(test::bytes_of("KDUMP   ")), HasSubstr("cut short"));
}

TEST(Kdump, RefusesDescriptorsThatAllMakeNoSense) {
  const KdumpDescription kdump = small_dump();
  Bytes bytes = test::kdump_bytes(kdump);
  for (size_t i = 0; i < 225; ++i) test::put(bytes, test::kdump_descriptors_at(kdump) + 24 * i, uint64_t{64});
  EXPECT_THAT(failure_of(bytes), HasSubstr("page descriptors"));
}

// --- split dumps ---

struct Split {
  std::vector<KdumpDescription> parts;
  std::vector<std::unique_ptr<MemoryFile>> files;
  std::vector<std::string> paths;
  void add(uint64_t start, uint64_t end) {
    parts.push_back(small_dump());
    parts.back().split = {start, end};
  }
  void write() {
    for (const KdumpDescription& part : parts) {
      files.push_back(std::make_unique<MemoryFile>(test::kdump_bytes(part)));
      paths.push_back(files.back()->path());
    }
  }
  std::string failure() {
    write();
    try {
      open_image_set(paths);
    } catch (const Error& error) {
      return error.what();
    }
    return "no failure";
  }
};

TEST(KdumpSplit, ReadsAllPartsInAnyOrder) {
  Split split;
  split.add(32800, kFrames);
  split.add(0, 10);
  split.add(10, 32800);
  split.write();
  const auto image = open_image_set(split.paths);
  EXPECT_THAT(image->warnings(), IsEmpty());
  expect_pages(*image, split.parts[0]);
}

// makedumpfile writes such where there are more files than memory to part.
TEST(KdumpSplit, ReadsPartsWithoutAnyPage) {
  Split split;
  split.add(0, kFrames);
  split.add(kFrames, kFrames);
  split.write();
  const auto image = open_image_set(split.paths);
  EXPECT_THAT(image->warnings(), IsEmpty());
  expect_pages(*image, split.parts[0]);
}

TEST(KdumpSplit, ReadsOnePartAloneAndWarns) {
  Split split;
  split.add(32000, kFrames);
  split.write();
  const auto image = open_image(split.paths[0]);
  EXPECT_THAT(image->warnings(), ElementsAre(HasSubstr("17 pages of the page frames 0x0 to 0x7cff")));
  EXPECT_EQ(state_at(*image, 0x1000), PageState::lost);
  EXPECT_EQ(state_at(*image, 0x3000), PageState::excluded);
  EXPECT_EQ(state_at(*image, 32700 * uint64_t{4096}), PageState::present);
}

TEST(KdumpSplit, SaysWhyFilesDoNotBelongTogether) {
  Split overlap;
  overlap.add(0, 20);
  overlap.add(19, kFrames);
  EXPECT_THAT(overlap.failure(), HasSubstr("overlap: both hold the page frames from 0x13 on"));
  Split gap;
  gap.add(0, 10);
  gap.add(15, kFrames);
  EXPECT_THAT(gap.failure(), HasSubstr("no file holds 5 pages of the page frames 0xa to 0xe"));
  Split other;
  other.add(0, 10);
  other.add(10, kFrames);
  other.parts[1].seconds += 1;
  EXPECT_THAT(other.failure(), HasSubstr("taken at different times"));
  Split machines;
  machines.add(0, 10);
  machines.add(10, kFrames);
  machines.parts[1].machine = "aarch64";
  EXPECT_THAT(machines.failure(), HasSubstr("their kernels differ"));
  Split whole;
  whole.add(0, 10);
  whole.parts.push_back(small_dump());
  EXPECT_THAT(whole.failure(), HasSubstr("a whole dump"));
}

}  // namespace
}  // namespace kvista::image
