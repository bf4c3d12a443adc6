#include "dump/copy_pages.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/in_order.h"
#include "base/parallel.h"
#include "base/spare.h"
#include "dump/chunk_queue.h"

namespace kvista::dump {
namespace {

// The blocks that hold frames of [first, end).
std::vector<Pfn> blocks_within(const DumpPlan& plan, Pfn first, Pfn end) {
  std::vector<Pfn> blocks;
  for (const DumpPlan::Block& block : plan.blocks())
    if (block.first + plan.block_frames() > first && block.first < end) blocks.push_back(block.first);
  return blocks;
}

}  // namespace

int compression_level(const DumpRequest& request) {
  return request.compression.value_or(request.codec ? codec::levels_of(*request.codec).usual : 0);
}

void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second, Pfn first,
                Pfn end, const std::function<void(const CopiedChunk&)>& take, DumpResult& result) {
  ChunkQueue queue(second, blocks_within(plan, first, end), plan.block_frames(), first, end);
  uint64_t done = 0;
  Spare<CopiedChunk> spare;
  const unsigned threads = std::max(1U, request.threads);
  InOrder<CopiedChunk> in_order(size_t{2} * threads, [&](CopiedChunk chunk) {
    for (size_t i = 0; i < chunk.missing.size(); ++i) result.missing.at(i) += chunk.missing.at(i);
    done += chunk.pages.size();
    take(chunk);
    if (request.progress) request.progress(done, result.planned);
    spare.put(std::move(chunk));
  });
  parallel_for(threads, threads, [&](size_t, unsigned) {
    try {
      PageCopier copier(plan.image(), request.codec, compression_level(request), plan.page_shift(),
                        request.erasure.ranges);
      std::vector<std::byte> bits;
      while (const auto next = queue.next(bits)) {
        CopiedChunk chunk = spare.take();
        copier.copy(next->first, next->bits, chunk);
        in_order.put(next->number, std::move(chunk));
      }
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
