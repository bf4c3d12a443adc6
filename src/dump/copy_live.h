// The copying of a running kernel's pages.
#pragma once

#include <functional>

#include "dump/page_copier.h"
#include "dump/plan.h"

namespace kvista::dump {

/// As copy_pages(), of memory that changes meanwhile, in the stages of LiveQueue; `take` also gets the number
/// of a chunk's first page in the dump. /proc/kcore gives zeros without an error for what it cannot read: a
/// page of zeros that the kernel has not mapped is one that cannot be read.
void copy_live(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
               const std::function<void(const CopiedChunk&, uint64_t index)>& take, DumpResult& result);

}  // namespace kvista::dump
