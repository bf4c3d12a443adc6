#include "dump/copy_pages.h"

#include <algorithm>
#include <span>

#include "dump/chunk_queue.h"
#include "dump/copy_chunks.h"

namespace kvista::dump {
namespace {

// The blocks that hold frames of [first, end).
std::span<const Block> blocks_within(const DumpPlan& plan, Pfn first, Pfn end) {
  const auto blocks = plan.blocks();
  const auto is_before = [&](const Block& block) { return block.first + plan.block_frames() <= first; };
  const auto from = std::partition_point(blocks.begin(), blocks.end(), is_before);
  return {from,
          std::partition_point(from, blocks.end(), [&](const Block& block) { return block.first < end; })};
}

}  // namespace

void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second, Pfn first,
                Pfn end, const std::function<void(const CopiedChunk&)>& take, DumpResult& result) {
  ChunkQueue queue(second, blocks_within(plan, first, end), plan.block_frames(), plan.chunk_pages(), first,
                   end);
  const auto copy_of = [] {
    return [](PageCopier& copier, const ChunkQueue::Chunk& wanted, CopiedChunk& chunk) {
      copier.copy(wanted.first, wanted.bits, chunk);
    };
  };
  copy_chunks(
      plan, request, queue, copy_of, [&](const CopiedChunk& chunk, uint64_t /*index*/) { take(chunk); },
      result);
}

void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
                const std::function<void(const CopiedChunk&)>& take, DumpResult& result) {
  copy_pages(plan, request, second, Pfn{0}, plan.end(), take, result);
}

}  // namespace kvista::dump
