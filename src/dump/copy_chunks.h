// The work of the threads that copy pages: chunks come from a queue, and go on in its order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/in_order.h"
#include "base/parallel.h"
#include "base/spare.h"
#include "codec/compress.h"
#include "dump/page_copier.h"
#include "dump/plan.h"

namespace kvista::dump {

/// The codec's level that a request asks for, or the usual one.
inline int compression_level(const DumpRequest& request) {
  return request.compression.value_or(request.codec ? codec::levels_of(*request.codec).usual : 0);
}

/// `copy_of()` makes for each thread what fills a chunk: called with a PageCopier, what the queue gave, and
/// the chunk. `take` gets each chunk, and which page of the dump its first is, in the queue's order and from
/// one thread at a time. What could not be read is counted in `result`, and the request's progress is told.
/// Exceptions of `take` end it and are thrown again.
template <typename Queue, typename MakeCopy, typename Take>
void copy_chunks(const DumpPlan& plan, const DumpRequest& request, Queue& queue, MakeCopy copy_of, Take take,
                 DumpResult& result) {
  struct Numbered {
    CopiedChunk chunk;
    uint64_t index = 0;
  };
  uint64_t done = 0;
  Spare<CopiedChunk> spare;
  const unsigned threads = std::max(1U, request.threads);
  InOrder<Numbered> in_order(size_t{2} * threads, [&](Numbered one) {
    for (size_t i = 0; i < one.chunk.missing.size(); ++i) result.missing.at(i) += one.chunk.missing.at(i);
    done += one.chunk.pages.size();
    take(one.chunk, one.index);
    if (request.progress) request.progress(done << plan.page_shift(), result.planned << plan.page_shift());
    spare.put(std::move(one.chunk));
  });
  parallel_for(threads, threads, [&](size_t, unsigned) {
    try {
      PageCopier copier(plan.image(), request.codec, compression_level(request), plan.page_shift(),
                        plan.chunk_pages(), request.erasure.ranges);
      auto copy = copy_of();
      std::vector<std::byte> bits;
      while (const auto next = queue.next(bits)) {
        Numbered one{spare.take(), next->index};
        copy(copier, *next, one.chunk);
        in_order.put(next->number, std::move(one));
      }
    } catch (...) {
      in_order.stop();
      throw;
    }
  });
}

}  // namespace kvista::dump
