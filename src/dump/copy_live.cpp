#include "dump/copy_live.h"

#include "base/bits.h"
#include "dump/copy_chunks.h"
#include "dump/live_queue.h"

namespace kvista::dump {
namespace {

// Whether the kernel has a frame mapped; for one thread.
class DirectMap {
 public:
  explicit DirectMap(const DumpPlan& plan) : plan_(plan), start_(plan.identity().direct_map) {}

  bool holds(PhysAddr address) {
    if (!start_) return true;  // not known
    if (address >= last_.start && address < last_.end()) return true;
    const auto mapping = plan_.space().translate(VirtAddr{*start_ + address.value});
    if (!mapping || mapping->phys != address) return false;
    last_ = {mapping->phys, mapping->size};
    return true;
  }

 private:
  const DumpPlan& plan_;
  std::optional<uint64_t> start_;
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

}  // namespace

void copy_live(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
               const std::function<void(const CopiedChunk&, uint64_t)>& take, DumpResult& result) {
  LiveQueue queue(plan, second);
  const DirectMap direct_map(plan);
  const auto copy_of = [&plan, &direct_map] {
    return [&plan, map = direct_map](PageCopier& copier, const LiveQueue::Chunk& wanted,
                                     CopiedChunk& chunk) mutable {
      if (!wanted.may_touch) return leave_alone(wanted, chunk);
      copier.copy(wanted.first, wanted.bits, chunk);
      check_zeros(plan, map, chunk);
    };
  };
  copy_chunks(plan, request, queue, copy_of, take, result);
  result.changed = queue.changed();
}

}  // namespace kvista::dump
