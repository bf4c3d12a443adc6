#include "dump/copy_pages.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/in_order.h"
#include "base/parallel.h"

namespace kvista::dump {
namespace {

int compression_level(const DumpRequest& request) {
  return request.compression.value_or(request.codec ? codec::levels_of(*request.codec).usual : 0);
}

// The blocks that hold frames of [first, end).
std::span<const DumpPlan::Block> blocks_within(const DumpPlan& plan, Pfn first, Pfn end) {
  const auto blocks = plan.blocks();
  const auto from = std::partition_point(blocks.begin(), blocks.end(), [&](const DumpPlan::Block& block) {
    return block.first + plan.block_frames() <= first;
  });
  const auto to = std::partition_point(from, blocks.end(),
                                       [&](const DumpPlan::Block& block) { return block.first < end; });
  return {from, to};
}

// Clears the bits of frames outside of [first, end), where `bits` begins at `at`.
void keep_within(Pfn first, Pfn end, Pfn at, std::span<std::byte> bits) {
  const uint64_t size = bits.size() * 8;
  if (at < first) clear_bits(bits, 0, std::min(first - at, size));
  if (end < at + size) clear_bits(bits, end > at ? end - at : 0, size);
}

}  // namespace

void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second, Pfn first,
                Pfn end, const std::function<void(const CopiedChunk&)>& take, DumpResult& result) {
  const auto blocks = blocks_within(plan, first, end);
  const uint64_t chunks = plan.block_frames() / kChunkFrames;
  std::vector<std::unique_ptr<PageCopier>> copiers(std::max(1U, request.threads));
  uint64_t done = 0;
  InOrder<CopiedChunk> in_order(2 * copiers.size(), [&](const CopiedChunk& chunk) {
    for (size_t i = 0; i < chunk.missing.size(); ++i) result.missing.at(i) += chunk.missing.at(i);
    done += chunk.pages.size();
    take(chunk);
    if (request.progress) request.progress(done, result.planned);
  });
  const auto copy_chunk = [&](size_t item, unsigned worker) {
    auto& copier = copiers.at(worker);
    if (!copier)
      copier = std::make_unique<PageCopier>(plan.image(), request.codec, compression_level(request),
                                            plan.page_shift());
    const Pfn at = blocks[item / chunks].first + item % chunks * kChunkFrames;
    std::vector<std::byte> bits(kChunkFrames / 8);
    second.get(at.value / 8, bits);
    keep_within(first, end, at, bits);
    in_order.put(item, copier->copy(at, std::move(bits)));
  };
  parallel_for(blocks.size() * chunks, request.threads, [&](size_t item, unsigned worker) {
    try {
      copy_chunk(item, worker);
    } catch (...) {
      in_order.stop();
      throw;
    }
  });
}

void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
                const std::function<void(const CopiedChunk&)>& take, DumpResult& result) {
  copy_pages(plan, request, second, Pfn{0}, plan.end(), take, result);
}

}  // namespace kvista::dump
