#include "dump/chunk_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <random>
#include <set>

#include "base/bits.h"
#include "base/parallel.h"

namespace kvista::dump {
namespace {

constexpr uint64_t kFrames = 4096;
constexpr uint64_t kMost = 256;  // pages of a chunk

/// A bitmap of blocks, in each of which another part of the frames is kept: none, few, most, all.
class ChunkQueues : public testing::Test {
 protected:
  ChunkQueues() {
    std::minstd_rand random(1);
    for (uint64_t block = 0; block < 8; ++block) {
      const Pfn first{block * 2 * kFrames};
      std::vector<std::byte> bits(kFrames / 8);
      for (uint64_t i = 0; i < kFrames; ++i) {
        if (random() % 7 >= block) continue;
        set_bits(bits, i, i + 1);
        kept_.insert((first + i).value);
      }
      bitmap_.put(first.value / 8, bits);
      blocks_.push_back({first});
    }
  }

  static std::vector<uint64_t> frames_of(const ChunkQueue::Chunk& chunk) {
    std::vector<uint64_t> frames;
    for_each_run(chunk.bits, [&](uint64_t from, uint64_t to) {
      for (; from < to; ++from) frames.push_back((chunk.first + from).value);
    });
    return frames;
  }

  SecondBitmap bitmap_{{nullptr, 0, UINT64_MAX, {}}, 16 * kFrames / 8};
  std::vector<Block> blocks_;
  std::set<uint64_t> kept_;
};

TEST_F(ChunkQueues, HandOutEachFrameThatIsKeptOnceAndInOrder) {
  ChunkQueue queue(bitmap_, blocks_, kFrames, kMost);
  std::vector<std::byte> room;
  std::vector<uint64_t> frames;
  size_t number = 0;
  while (const auto chunk = queue.next(room)) {
    EXPECT_EQ(chunk->number, number++);
    const auto some = frames_of(*chunk);
    EXPECT_FALSE(some.empty());
    EXPECT_LE(some.size(), kMost);
    frames.insert(frames.end(), some.begin(), some.end());
  }
  EXPECT_EQ(frames, std::vector<uint64_t>(kept_.begin(), kept_.end()));
  EXPECT_FALSE(queue.next(room));
}

TEST_F(ChunkQueues, FillChunksWhateverPartIsKept) {
  ChunkQueue queue(bitmap_, blocks_, kFrames, kMost);
  std::vector<std::byte> room;
  size_t chunks = 0;
  while (queue.next(room)) ++chunks;
  // A word more would have been too much; each block ends one.
  EXPECT_LE(chunks, kept_.size() / (kMost - kWordBits) + blocks_.size());
}

// Large pages: a word of frames is more than a chunk.
TEST_F(ChunkQueues, TakeWordsApart) {
  for (const uint64_t most : {1U, 16U, 63U}) {
    ChunkQueue queue(bitmap_, blocks_, kFrames, most);
    std::vector<std::byte> room;
    std::vector<uint64_t> frames;
    while (const auto chunk = queue.next(room)) {
      const auto some = frames_of(*chunk);
      EXPECT_FALSE(some.empty());
      EXPECT_LE(some.size(), most);
      EXPECT_EQ(chunk->index, frames.size());
      frames.insert(frames.end(), some.begin(), some.end());
    }
    EXPECT_EQ(frames, std::vector<uint64_t>(kept_.begin(), kept_.end()));
  }
}

TEST_F(ChunkQueues, GiveThreadsDifferentChunks) {
  ChunkQueue queue(bitmap_, blocks_, kFrames, kMost);
  std::mutex mutex;
  std::map<size_t, std::vector<uint64_t>> found;
  parallel_for(4, 4, [&](size_t, unsigned) {
    std::vector<std::byte> room;
    while (const auto chunk = queue.next(room)) {
      const std::lock_guard lock(mutex);
      EXPECT_TRUE(found.try_emplace(chunk->number, frames_of(*chunk)).second);
    }
  });
  std::vector<uint64_t> frames;
  for (const auto& [number, some] : found) frames.insert(frames.end(), some.begin(), some.end());
  EXPECT_EQ(frames, std::vector<uint64_t>(kept_.begin(), kept_.end()));
}

TEST_F(ChunkQueues, HandOutAPartOfTheFrames) {
  const Pfn first{3 * kFrames / 2 + 17};
  const Pfn end{9 * kFrames + 5};
  ChunkQueue queue(bitmap_, blocks_, kFrames, kMost, first, end);
  std::vector<std::byte> room;
  std::vector<uint64_t> frames;
  while (const auto chunk = queue.next(room)) {
    const auto some = frames_of(*chunk);
    frames.insert(frames.end(), some.begin(), some.end());
  }
  EXPECT_EQ(frames, std::vector<uint64_t>(kept_.lower_bound(first.value), kept_.lower_bound(end.value)));
}

TEST_F(ChunkQueues, OfNothingAreEmpty) {
  std::vector<std::byte> room;
  EXPECT_FALSE(ChunkQueue(bitmap_, {}, kFrames, kMost).next(room));
  const std::vector<Block> empty{{Pfn{kFrames}}};
  EXPECT_FALSE(ChunkQueue(bitmap_, empty, kFrames, kMost).next(room));
}

}  // namespace
}  // namespace kvista::dump
