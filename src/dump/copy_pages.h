// The copying of all pages of a plan, on several threads.
#pragma once

#include <functional>

#include "dump/page_copier.h"
#include "dump/plan.h"

namespace kvista::dump {

/// Copies the pages whose bits `second` has, of the frames [first, end). `take` gets each chunk with its
/// pages, in frame order and from one thread at a time. What could not be read is counted in `result`, and
/// the request's progress is told. Exceptions of `take` end it and are thrown again.
void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second, Pfn first,
                Pfn end, const std::function<void(const CopiedChunk&)>& take, DumpResult& result);
/// All of them.
void copy_pages(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
                const std::function<void(const CopiedChunk&)>& take, DumpResult& result);

}  // namespace kvista::dump
