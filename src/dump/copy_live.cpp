#include "dump/copy_live.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/in_order.h"
#include "base/parallel.h"
#include "base/spare.h"
#include "dump/copy_pages.h"
#include "dump/live_queue.h"

namespace kvista::dump {
namespace {

// Whether the kernel has a frame mapped; for one thread.
class DirectMap {
 public:
  explicit DirectMap(const DumpPlan& plan) : plan_(plan), start_(plan.identity().direct_map) {}

  bool holds(PhysAddr address) {
    if (start_ == 0) return true;  // not known
    if (address >= last_.start && address < last_.end()) return true;
    const auto mapping = plan_.space().translate(VirtAddr{start_ + address.value});
    if (!mapping || mapping->phys != address) return false;
    last_ = {mapping->phys, mapping->size};
    return true;
  }

 private:
  const DumpPlan& plan_;
  uint64_t start_;
  PhysRange last_;  // mapped
};

void lose(CopiedPage& page, CopiedChunk& chunk) {
  page = {CopiedPage::Kind::missing, 0};
  ++chunk.missing.at(static_cast<size_t>(image::PageState::unreadable));
}

void check_zeros(const DumpPlan& plan, DirectMap& map, CopiedChunk& chunk) {
  auto page = chunk.pages.begin();
  for_each_run(chunk.bits, [&](uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; ++i, ++page)
      if (page->kind == CopiedPage::Kind::zero && !map.holds(phys_of(chunk.first + i, plan.page_shift())))
        lose(*page, chunk);
  });
}

void leave_alone(const LiveQueue::Chunk& wanted, CopiedChunk& chunk) {
  chunk.clear();
  chunk.first = wanted.first;
  chunk.bits.assign(wanted.bits.begin(), wanted.bits.end());
  chunk.pages.resize(count_bits(wanted.bits));
  for (CopiedPage& page : chunk.pages) lose(page, chunk);
}

struct Numbered {
  CopiedChunk chunk;
  uint64_t index = 0;
};

}  // namespace

void copy_live(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
               const std::function<void(const CopiedChunk&, uint64_t)>& take, DumpResult& result) {
  LiveQueue queue(plan, second);
  uint64_t done = 0;
  Spare<CopiedChunk> spare;
  const unsigned threads = std::max(1U, request.threads);
  InOrder<Numbered> in_order(size_t{2} * threads, [&](Numbered one) {
    for (size_t i = 0; i < one.chunk.missing.size(); ++i) result.missing.at(i) += one.chunk.missing.at(i);
    done += one.chunk.pages.size();
    take(one.chunk, one.index);
    if (request.progress) request.progress(done, result.planned);
    spare.put(std::move(one.chunk));
  });
  parallel_for(threads, threads, [&](size_t, unsigned) {
    try {
      PageCopier copier(plan.image(), request.codec, compression_level(request), plan.page_shift(),
                        request.erasure.ranges);
      DirectMap map(plan);
      std::vector<std::byte> bits;
      while (const auto next = queue.next(bits)) {
        Numbered one{spare.take(), next->index};
        if (next->may_touch) {
          copier.copy(next->first, next->bits, one.chunk);
          check_zeros(plan, map, one.chunk);
        } else {
          leave_alone(*next, one.chunk);
        }
        in_order.put(next->number, std::move(one));
      }
    } catch (...) {
      in_order.stop();
      throw;
    }
  });
  result.changed = queue.changed();
}

}  // namespace kvista::dump
