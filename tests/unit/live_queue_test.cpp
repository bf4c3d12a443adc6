// Dumps of running kernels, by described ones that are said to run.
#include <array>
#include <atomic>
#include <map>
#include <set>

#include "base/bits.h"
#include "dump/live_queue.h"
#include "dump/writer.h"
#include "image/open.h"
#include "unit/dump_fixture.h"
#include "unit/failure.h"

namespace kvista::dump {
namespace {

using testing::HasSubstr;

constexpr const char* kRunning =
    "pages 0x400-0x7ff class=buddy order=10\n"
    "pages 0x800-0xbff class=anon\n"
    "pages 0xc00-0xcff class=lru\n"
    "pages 0xe00-0xe3f class=pagetable\n"
    "pages 0xf00-0xfff class=slab order=3\n"
    "contents pattern 0x800000-0x1800000\n";

/// Memory that is said to change, and from `change()` on is another.
class RunningImage : public LayeredImage {
 public:
  explicit RunningImage(std::unique_ptr<image::MemoryImage> first,
                        std::unique_ptr<image::MemoryImage> later = nullptr)
      : LayeredImage(std::move(first)), later_(std::move(later)) {
    traits_.live = true;
  }
  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    return changed_ ? later_->read(address, out) : whole().read(address, out);
  }
  void change() const { changed_ = true; }

 private:
  std::unique_ptr<image::MemoryImage> later_;
  mutable std::atomic<bool> changed_ = false;
};

class LiveDumps : public testing::Test {
 protected:
  LiveDumps() { test::TestImage(kRunning).write(source_); }

  kernel::Session session() const {
    machine::Options options;
    options.system_root = directory_.file("system");  // nothing of this machine
    return {std::make_unique<RunningImage>(image::open_image(source_)), options};
  }
  DumpRequest request(unsigned level) const {
    DumpRequest request;
    request.outputs = {dump_};
    request.overwrite = true;
    request.level = level;
    request.codec = codec::Codec::zlib;
    request.threads = 3;
    request.timestamp = 1700000000;
    return request;
  }
  static std::pair<PageState, std::vector<std::byte>> page(const image::MemoryImage& image, uint64_t pfn) {
    std::vector<std::byte> bytes(kPageSize);
    const auto result = image.read(PhysAddr{pfn * kPageSize}, bytes);
    bytes.resize(result.done == kPageSize ? kPageSize : 0);
    return {result.state, bytes};
  }

  test::TemporaryDirectory directory_;
  std::string source_ = directory_.file("vmcore");
  std::string dump_ = directory_.file("dump");
};

TEST_F(LiveDumps, HoldTheSamePagesWhateverTheirOrder) {
  for (const bool flattened : {false, true}) {
    for (const unsigned level : {0U, 31U}) {
      SCOPED_TRACE(testing::Message() << level << (flattened ? " flattened" : ""));
      DumpRequest wanted = request(level);
      wanted.flattened = flattened;
      const kernel::Session running = session();
      const DumpResult result = write_dump(running, wanted);
      EXPECT_EQ(result.changed, 0U);
      const auto source = image::open_image(source_);
      const auto saved = image::open_image(dump_);
      uint64_t compared = 0;
      uint64_t lost = 0;
      for (const PhysRange& range : source->ram())
        for (uint64_t pfn = range.start.value / kPageSize; pfn < range.end().value / kPageSize; ++pfn) {
          const auto [state, bytes] = page(*saved, pfn);
          lost += state == PageState::lost ? 1 : 0;
          if (state != PageState::present) continue;
          ASSERT_EQ(bytes, page(*source, pfn).second) << "frame " << std::hex << pfn;
          ++compared;
        }
      EXPECT_EQ(compared, result.written);
      EXPECT_EQ(lost, result.lost());
      EXPECT_GT(compared, 5000U);
    }
  }
}

// Frames that are found to be poisoned between the count and the copy.
TEST_F(LiveDumps, LeaveAloneWhatMustNotBeTouchedAnyMore) {
  test::TestImage(std::string(kRunning) + "pages 0x800-0x83f class=hwpoison\n")
      .write(directory_.file("later"));
  auto image =
      std::make_unique<RunningImage>(image::open_image(source_), image::open_image(directory_.file("later")));
  const RunningImage& running = *image;
  machine::Options options;
  options.system_root = directory_.file("system");
  const kernel::Session session(std::move(image), options);
  DumpRequest wanted = request(0);
  const uint64_t before = write_dump(session, wanted).lost();
  wanted.decided = [&](auto...) { running.change(); };
  const DumpResult result = write_dump(session, wanted);
  EXPECT_EQ(result.changed, 0x40U);
  EXPECT_EQ(result.lost(), before + 0x40U);
  const auto saved = image::open_image(dump_);
  for (uint64_t pfn = 0x7f0; pfn < 0x850; ++pfn)
    EXPECT_EQ(page(*saved, pfn).first == PageState::lost, 0x800 <= pfn && pfn < 0x840) << std::hex << pfn;
}

TEST_F(LiveDumps, SayThatTheKernelRan) {
  const kernel::Session running = session();
  write_dump(running, request(31));
  const auto saved = image::open_image(dump_);
  EXPECT_THAT(saved->warnings(), testing::Contains(HasSubstr("of a running kernel")));
  for (const image::Note& note : saved->notes()) EXPECT_NE(note.name, "CORE") << "registers of no crash";
}

TEST_F(LiveDumps, AreOneKdumpCompressedFile) {
  const kernel::Session running = session();
  DumpRequest elf = request(31);
  elf.format = Format::elf;
  EXPECT_THAT(test::failure_of<Unsupported>([&] { write_dump(running, elf); }),
              HasSubstr("kvista convert -E"));
  DumpRequest split = request(31);
  split.outputs.push_back(directory_.file("other"));
  EXPECT_THAT(test::failure_of<Unsupported>([&] { write_dump(running, split); }), HasSubstr("not split"));
}

TEST_F(LiveDumps, CopyTablesFirstAndEachFrameOnce) {
  const kernel::Session running = session();
  const DumpRequest wanted = request(0);
  DumpPlan plan(running, wanted);
  SecondBitmap second({nullptr, 0, UINT64_MAX, {}}, (plan.end().value + 63) / 64 * 8);
  DumpResult result;
  plan.decide(second, result);
  std::vector<uint64_t> kept;  // in the order of their pages in the dump
  for (const Block& block : plan.blocks()) {
    std::vector<std::byte> bits(plan.block_frames() / 8);
    second.get(block.first.value / 8, bits);
    for_each_run(bits, [&](uint64_t from, uint64_t to) {
      for (; from < to; ++from) kept.push_back((block.first + from).value);
    });
  }
  LiveQueue queue(plan, second);
  std::vector<std::byte> room;
  std::set<uint64_t> seen;
  Stage stage = Stage::tables;
  std::map<uint64_t, std::vector<pages::ClassByte>> classes;
  const auto stage_of = [&](Pfn pfn) {
    const Pfn block{pfn.value / plan.block_frames() * plan.block_frames()};
    const auto [at, is_new] = classes.try_emplace(block.value, plan.block_frames());
    std::vector<std::byte> ignored(plan.block_frames() / 8);
    if (is_new) plan.look_again(block, at->second, ignored);
    return plan.stage_of(phys_of(pfn, plan.page_shift()), at->second[pfn - block]);
  };
  std::array<uint64_t, 3> of_stage{};
  while (const auto chunk = queue.next(room)) {
    uint64_t index = chunk->index;
    for_each_run(chunk->bits, [&](uint64_t from, uint64_t to) {
      for (; from < to; ++from) {
        const Pfn pfn = chunk->first + from;
        ASSERT_LT(index, kept.size());
        EXPECT_EQ(kept[index++], pfn.value);
        EXPECT_TRUE(seen.insert(pfn.value).second);
        EXPECT_GE(stage_of(pfn), stage);
        stage = stage_of(pfn);
        ++of_stage.at(static_cast<size_t>(stage));
      }
    });
  }
  EXPECT_EQ(seen.size(), kept.size());
  for (const uint64_t frames : of_stage) EXPECT_GT(frames, 0U);
}

}  // namespace
}  // namespace kvista::dump
