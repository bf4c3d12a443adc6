// What a dump holds: decisions that are made again, memory that is never left out, memory map that is, and
// the memory that it takes to write it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <map>
#include <random>

#include "base/bits.h"
#include "codec/compress.h"
#include "dump/memory_share.h"
#include "dump/plan.h"
#include "machine/machine.h"
#include "pages/memory_map.h"
#include "unit/dump_fixture.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;

class Choices : public Dumps {
 protected:
  // Where a page of virtual memory is.
  static uint64_t frame_of(const kernel::Session& session, VirtAddr address) {
    return session.space().translate(address)->phys.value / kPageSize;
  }

  // The frames that hold memory map of frames that the level leaves out, or that there are none of.
  std::set<uint64_t> unused_map(unsigned level) const {
    std::set<uint64_t> unused;
    const auto source = image::open_image(source_path_);
    const auto is_memory = [&](uint64_t pfn) {
      return std::any_of(source->ram().begin(), source->ram().end(), [pfn](const PhysRange& range) {
        return range.start.value / kPageSize <= pfn && pfn < range.end().value / kPageSize;
      });
    };
    for (const auto& [first, frame] : memory_map_frames()) {
      bool used = false;
      for (uint64_t pfn = first; pfn < first + kTold; ++pfn)
        used |= is_memory(pfn) && should_hold(pfn, level);
      if (!used) unused.insert(frame);
    }
    return unused;
  }

 private:
  // A page of the memory map tells of so many frames.
  static constexpr uint64_t kTold = 64;

  // The frames that hold the memory map, by the first frame that each tells of.
  std::map<uint64_t, uint64_t> memory_map_frames() const {
    const kernel::Session session = open(source_path_);
    const auto map = session.with_machine([](machine::Machine& m) { return pages::read_memory_map(m); });
    std::map<uint64_t, uint64_t> frames;
    for (const pages::Section& section : map.sections)
      for (uint64_t i = 0; i < map.frames() * map.struct_size / kPageSize; ++i)
        frames[(section.first + i * kTold).value] = frame_of(session, section.map + i * kPageSize);
    return frames;
  }
};

TEST_F(Choices, AreTheSameWhenTheyAreMadeAgain) {
  for (const bool every_page : {false, true}) {
    for (const unsigned level : {0U, 9U, 31U}) {
      SCOPED_TRACE(testing::Message() << level << every_page);
      const kernel::Session session = open(source_path_);
      DumpRequest wanted = request(every_page ? 0 : level);
      wanted.every_page = every_page;
      DumpPlan plan(session, wanted);
      const uint64_t size = (plan.end().value + 63) / 64 * 8;
      SecondBitmap made({nullptr, 0, UINT64_MAX, plan.again()}, size);
      SecondBitmap again({nullptr, 0, 0, plan.again()}, size);
      DumpResult result;
      plan.decide(made, result);
      uint64_t kept = 0;
      for (const Block& block : plan.blocks()) {
        std::vector<std::byte> first(plan.block_frames() / 8);
        std::vector<std::byte> second(first.size());
        made.get(block.first.value / 8, first);
        again.get(block.first.value / 8, second);
        EXPECT_EQ(first, second);
        kept += count_bits(second);
      }
      EXPECT_EQ(kept, result.planned);
      EXPECT_GT(kept, 5000U);
    }
  }
}

/// An image whose memory map says something else when it is read again.
class RestlessImage : public LayeredImage {
 public:
  using LayeredImage::LayeredImage;
  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    const auto result = whole().read(address, out);
    if (restless_) std::fill(out.begin(), out.end(), std::byte{0xff});
    return result;
  }
  mutable std::atomic<bool> restless_ = false;
};

TEST_F(Choices, ThatComeOutOtherwiseEndTheDump) {
  auto image = std::make_unique<RestlessImage>(image::open_image(source_path_));
  const RestlessImage& restless = *image;
  const kernel::Session session(std::move(image), {});
  const DumpRequest wanted = request(31);
  DumpPlan plan(session, wanted);
  SecondBitmap again({nullptr, 0, 0, plan.again()}, (plan.end().value + 63) / 64 * 8);
  DumpResult result;
  plan.decide(again, result);
  restless.restless_ = true;
  std::vector<std::byte> bits(plan.block_frames() / 8);
  EXPECT_THAT(test::failure_of<AccessError>([&] { again.get(plan.blocks().front().first.value / 8, bits); }),
              HasSubstr("reads differently the second time"));
}

// --- what is never left out ---

TEST_F(Choices, KeepPageTablesWhateverTheirStructPagesSay) {
  uint64_t table = 0;
  {
    const kernel::Session session = open(source_path_);
    std::vector<PhysAddr> tables;
    session.space().for_each_table([&](PhysRange one) { tables.push_back(one.start); });
    ASSERT_GE(tables.size(), 4U);
    table = tables.back().value / kPageSize;
  }
  make(std::string(kDescription) + fmt::format("pages {0:#x}-{0:#x} class=anon\n", table));
  const DumpResult result = dump(request(31));
  EXPECT_EQ(result.protected_frames, 1U);
  EXPECT_EQ(page(*image::open_image(directory_.file("dump")), table).first, PageState::present);
}

class PerCpuMemory : public Choices {
 protected:
  // As of kernel_tasks.cpp: a unit's pages, those of them that are variables, and those that the first chunk
  // has.
  static constexpr uint64_t kUnit = 0x40, kVariables = 0x3c, kChunk = 0x3e;
  static constexpr uint64_t kCpus = 2;

  // With struct pages that say that all units are a process's.
  std::vector<uint64_t> make_anonymous(const std::string& more) {
    std::string description = fmt::format("{}cpus {}\ntask pid=1 comm=init\n{}", kDescription, kCpus, more);
    make(description);
    std::vector<uint64_t> units;
    {
      const kernel::Session session = open(source_path_);
      for (unsigned cpu = 0; cpu < kCpus; ++cpu)
        units.push_back(frame_of(session, VirtAddr{session.per_cpu_offset(cpu)}));
    }
    for (const uint64_t unit : units)
      description += fmt::format("pages {:#x}-{:#x} class=anon\n", unit, unit + kUnit - 1);
    make(description);
    return units;
  }
  // That of each unit the first `pages` are in the dump, and no other.
  void expect_kept(const std::vector<uint64_t>& units, uint64_t pages) const {
    const DumpResult result = dump(request(31));
    EXPECT_EQ(result.protected_frames, kCpus * pages);
    const auto saved = image::open_image(directory_.file("dump"));
    for (const uint64_t unit : units)
      for (uint64_t i = 0; i < kUnit; ++i)
        EXPECT_EQ(page(*saved, unit + i).first, i < pages ? PageState::present : PageState::excluded) << i;
  }
};

TEST_F(PerCpuMemory, OfTheFirstChunkIsKeptWhateverStructPagesSay) {
  expect_kept(make_anonymous("btf\n"), kChunk);
}

TEST_F(PerCpuMemory, IsKeptAsFarAsItIsKnown) {
  // Types that are not there; a chunk that ends before the variables do, one of 16 MiB, and none; an end that
  // is not known.
  expect_kept(make_anonymous(""), kVariables);
  expect_kept(make_anonymous("btf\nobject set pcpu_chunk:0.base_addr=0xffff888000000000\n"), kVariables);
  expect_kept(make_anonymous("btf\nobject set pcpu_chunk:0.nr_pages=0x1000\n"), kVariables);
  expect_kept(make_anonymous("btf\nsymbols omit pcpu_first_chunk\n"), kVariables);
  expect_kept(make_anonymous("btf\nsymbols omit __per_cpu_end\n"), 0);
}

TEST_F(Choices, SurvivePageTablesThatLoop) {
  make(std::string(kDescription) + "loop 0xfffffe0000000000 level=3\n");
  EXPECT_EQ(dump(request(31)).lost(), 0U);
}

// --- memory map ---

TEST_F(Choices, LeaveOutMemoryMapThatTellsOfNothing) {
  for (const Format format : {Format::kdump, Format::elf}) {
    for (const unsigned level : {0U, 8U, 31U}) {
      SCOPED_TRACE(testing::Message() << level << ' ' << static_cast<int>(format));
      const std::set<uint64_t> unused = unused_map(level);
      DumpRequest wanted = request(level);
      wanted.format = format;
      wanted.leave_out_map = true;
      const DumpResult result = dump(wanted);
      EXPECT_EQ(result.lost(), 0U);
      EXPECT_EQ(result.map_pages, unused.size());
      EXPECT_GE(unused.size(), level == 0 ? 0U : 10U);
      expect_right_pages(wanted.outputs.front(), level, unused);
    }
  }
}

TEST_F(Choices, MarkDumpsWithoutMemoryMap) {
  DumpRequest wanted = request(31);
  wanted.leave_out_map = true;
  dump(wanted);
  const std::string between = directory_.file("between");
  std::filesystem::rename(wanted.outputs.front(), between);
  EXPECT_TRUE(image::open_image(between)->traits().lacks_memory_map);
  DumpRequest copy = request(0);
  copy.every_page = true;
  write_dump(open(between), copy);
  EXPECT_TRUE(image::open_image(copy.outputs.front())->traits().lacks_memory_map);
}

// A page that huge pages share can tell of what is kept, too.
TEST_F(Choices, KeepMemoryMapThatIsMappedByPages) {
  make(std::string(kDescription) + "memory_map leaf=4k\n");
  DumpRequest wanted = request(31);
  wanted.leave_out_map = true;
  EXPECT_EQ(dump(wanted).map_pages, 0U);
  // It says that memory map was left out all the same.
  constexpr uint64_t kNone = UINT64_MAX;
  expect_right_pages(wanted.outputs.front(), 31, {kNone});
}

// --- memory that the writer takes ---

TEST(MemoryShares, StayBelowTheLimit) {
  const MemoryShare usual = share_memory({}, 2);
  EXPECT_EQ(usual.threads, 2U);
  EXPECT_EQ(usual.chunk_bytes, kMiB);
  EXPECT_EQ(usual.bitmap_bytes, 8 * kMiB);
  EXPECT_EQ(share_memory({}, 64).threads, 64U);
  for (uint64_t limit = 15; limit < 200; ++limit) {
    const MemoryShare share = share_memory(limit * kMiB, 16);
    EXPECT_GE(share.threads, 1U);
    EXPECT_GE(share.chunk_bytes, 64 << 10U);
    EXPECT_LT(share.bitmap_bytes + 3 * share.chunk_bytes * share.threads, limit * kMiB);
  }
  EXPECT_LT(share_memory(32 * kMiB, 16).threads, share_memory(64 * kMiB, 16).threads);
}

TEST(MemoryShares, OfTooLittleAreRefused) {
  EXPECT_THAT(test::failure_of<Unsupported>([] { share_memory(4 * kMiB, 1); }), HasSubstr("at least"));
}

TEST_F(Choices, AreTheSameInLittleMemory) {
  DumpRequest wanted = request(31);
  wanted.memory_limit = 15 * kMiB;
  wanted.threads = 8;
  EXPECT_EQ(dump(wanted).lost(), 0U);
  expect_right_pages(wanted.outputs.front(), 31);
}

// --- every option with every other ---

struct Options {
  unsigned level = 0;
  unsigned codec = 0;
  unsigned form = 0;
  unsigned threads = 0;
  unsigned segments = 0;
  unsigned memory = 0;
  unsigned map = 0;
  unsigned source = 0;
};
constexpr size_t kOptions = 8;
using Choice = std::array<unsigned, kOptions>;

enum Form : unsigned { kKdump, kFlattened, kSplit2, kSplit5, kElf, kFlattenedElf, kForms };
enum Source : unsigned { kElfCore, kKdumpFile, kFlattenedFile, kSources };

#ifdef KVISTA_FULL_TESTS
constexpr unsigned kLevelStep = 1;
#else
constexpr unsigned kLevelStep = 5;
#endif
constexpr unsigned kLevelCount = (31 + kLevelStep) / kLevelStep + (31 % kLevelStep == 0 ? 0 : 1);

// How many values each option has: level, codec with its least and most level, form, threads, segments,
// memory limit, memory map, source.
constexpr Choice kValues = {kLevelCount, 9, kForms, 3, 3, 3, 2, kSources};

// Rows in which each two options have each two of their values at least once.
std::vector<Choice> pairwise() {
  std::set<std::array<unsigned, 4>> left;
  for (unsigned a = 0; a < kOptions; ++a)
    for (unsigned b = a + 1; b < kOptions; ++b)
      for (unsigned i = 0; i < kValues[a]; ++i)
        for (unsigned j = 0; j < kValues[b]; ++j) left.insert({a, i, b, j});
  std::minstd_rand random(1);
  const auto pairs_of = [](const Choice& row) {
    std::vector<std::array<unsigned, 4>> pairs;
    for (unsigned a = 0; a < kOptions; ++a)
      for (unsigned b = a + 1; b < kOptions; ++b) pairs.push_back({a, row[a], b, row[b]});
    return pairs;
  };
  std::vector<Choice> rows;
  while (!left.empty()) {
    Choice best{};
    long most = -1;
    for (int attempt = 0; attempt < 30; ++attempt) {
      Choice row;
      for (size_t i = 0; i < kOptions; ++i) row[i] = static_cast<unsigned>(random() % kValues[i]);
      const auto& wanted = *left.begin();
      row[wanted[0]] = wanted[1];
      row[wanted[2]] = wanted[3];
      const auto pairs = pairs_of(row);
      const long fresh =
          std::count_if(pairs.begin(), pairs.end(), [&](const auto& p) { return left.contains(p); });
      if (fresh > most) {
        most = fresh;
        best = row;
      }
    }
    for (const auto& pair : pairs_of(best)) left.erase(pair);
    rows.push_back(best);
  }
  return rows;
}

class AllOptions : public Choices {
 protected:
  DumpRequest request_of(const Choice& row) const {
    const auto [level, codec, form, threads, segments, memory, map, source] = row;
    DumpRequest wanted = request(std::min(31U, level * kLevelStep));
    choose_codec(codec, wanted);
    wanted.format = form == kElf || form == kFlattenedElf ? Format::elf : Format::kdump;
    wanted.flattened = form == kFlattened || form == kFlattenedElf;
    const unsigned parts = form == kSplit2 ? 2 : form == kSplit5 ? 5 : 1;
    wanted.outputs.clear();
    for (unsigned i = 0; i < parts; ++i) wanted.outputs.push_back(directory_.file(fmt::format("out{}", i)));
    wanted.threads = std::array{1U, 2U, 5U}.at(threads);
    wanted.max_segments = std::array{60000U, 30U, 12U}.at(segments);
    wanted.memory_limit =
        std::array{std::optional<uint64_t>(), std::optional(15 * kMiB), std::optional(40 * kMiB)}.at(memory);
    wanted.leave_out_map = map == 1;
    return wanted;
  }

  // Without, and each codec with the least and the most of its levels.
  static void choose_codec(unsigned which, DumpRequest& wanted) {
    wanted.codec.reset();
    if (which == 0) return;
    const auto codec =
        std::array{codec::Codec::zlib, codec::Codec::lzo, codec::Codec::snappy, codec::Codec::zstd}.at(
            (which - 1) / 2);
    if (!codec::is_available(codec)) return;
    wanted.codec = codec;
    const auto levels = codec::levels_of(codec);
    if (levels.most != 0 && which % 2 == 0)
      wanted.compression = levels.most;
    else if (levels.most != 0)
      wanted.compression = levels.least;
  }

  std::string source_of(unsigned source) {
    if (source == kElfCore) return source_path_;
    std::string path = directory_.file(fmt::format("source{}", source));
    if (std::filesystem::exists(path)) return path;
    DumpRequest wanted = request(0);
    wanted.outputs = {path};
    wanted.flattened = source == kFlattenedFile;
    wanted.every_page = true;
    dump(wanted);
    return path;
  }
};

TEST_F(AllOptions, WorkWithEachOther) {
  const auto rows = pairwise();
  RecordProperty("rows", static_cast<int>(rows.size()));
  for (const Choice& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row));
    const DumpRequest wanted = request_of(row);
    const DumpResult result = write_dump(open(source_of(row.back())), wanted);
    EXPECT_EQ(result.failure, "");
    EXPECT_EQ(result.lost(), 0U);
    DumpRequest together = request(0);
    together.every_page = true;
    std::string path = wanted.outputs.front();
    if (wanted.outputs.size() > 1) {
      const kernel::Session parts(image::open_image_set(wanted.outputs), {});
      EXPECT_EQ(write_dump(parts, together).lost(), 0U);
      path = together.outputs.front();
    }
    expect_right_pages(path, wanted.level,
                       wanted.leave_out_map ? unused_map(wanted.level) : std::set<uint64_t>());
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace kvista::dump
