#include "dump/page_copier.h"

#include <algorithm>

#include "base/bits.h"
#include "pages/frame_scan.h"

namespace kvista::dump {
namespace {

// So many bytes are looked at at once: they stay in a core's own cache.
constexpr uint64_t kMostAtOnce = uint64_t{256} << 10;

}  // namespace

PageCopier::PageCopier(const image::MemoryImage& image, std::optional<codec::Codec> codec, int level,
                       unsigned page_shift, uint64_t chunk_pages, const ErasedRanges& erased)
    : image_(image),
      compressor_(codec ? codec::make_compressor(*codec, level) : nullptr),
      page_shift_(page_shift),
      chunk_pages_(chunk_pages),
      erased_(erased),
      bound_(compressor_ ? compressor_->bound(size_t{1} << page_shift) : size_t{1} << page_shift) {}

void PageCopier::copy(Pfn first, std::span<const std::byte> bits, CopiedChunk& chunk) {
  chunk.clear();
  chunk.first = first;
  chunk.bits.assign(bits.begin(), bits.end());
  // Not cleared: only what is used becomes memory.
  const size_t most = (chunk_pages_ << page_shift_) + bound_;
  if (!chunk.room) chunk.room = std::make_unique_for_overwrite<std::byte[]>(most);
  const uint64_t at_once = kMostAtOnce >> page_shift_;
  for_each_run(bits, [&](uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at += at_once) copy_run(first + at, std::min(at_once, to - at), chunk);
  });
}

void PageCopier::copy_run(Pfn pfn, uint64_t count, CopiedChunk& chunk) {
  const size_t page_size = size_t{1} << page_shift_;
  for (uint64_t done = 0; done < count;) {
    const PhysAddr at = phys_of(pfn + done, page_shift_);
    const auto view = image_.view(at, (count - done) << page_shift_, window_);
    const uint64_t got = view.bytes.size() >> page_shift_;
    if (erased_.within({at, got << page_shift_}).empty())
      for (uint64_t i = 0; i < got; ++i) add_page(view.bytes.subspan(i << page_shift_, page_size), chunk);
    else
      add_erased(at, view.bytes.first(got << page_shift_), chunk);
    done += got;
    if (done == count) return;
    // The next page is not there; go on behind it. A state of "present" means no progress: nothing was read.
    const auto state = view.state == image::PageState::present ? image::PageState::unreadable : view.state;
    if (state == image::PageState::zero_elided) {
      const PhysAddr zeros = phys_of(pfn + done, page_shift_);
      if (erased_.within({zeros, page_size}).empty())
        chunk.pages.push_back({CopiedPage::Kind::zero, 0});
      else
        add_erased(zeros, std::vector<std::byte>(page_size), chunk);
    } else {
      ++chunk.missing.at(static_cast<size_t>(state));
      chunk.pages.push_back({CopiedPage::Kind::missing, 0});
    }
    ++done;
  }
}

// Pages are the source's own, or a window of it: each is copied before it is overwritten.
void PageCopier::add_erased(PhysAddr at, std::span<const std::byte> pages, CopiedChunk& chunk) {
  const size_t page_size = size_t{1} << page_shift_;
  for (size_t done = 0; done < pages.size(); done += page_size) {
    const auto page = pages.subspan(done, page_size);
    page_.assign(page.begin(), page.end());
    erased_.apply(at + done, page_);
    add_page(page_, chunk);
  }
}

void PageCopier::add_page(std::span<const std::byte> page, CopiedChunk& chunk) {
  if (pages::is_zero(page)) {
    chunk.pages.push_back({CopiedPage::Kind::zero, 0});
    return;
  }
  const std::span<std::byte> room(&chunk.room[chunk.filled], bound_);
  const size_t size = compressor_ ? compressor_->compress(page, room) : 0;
  const bool smaller = size != 0 && size < page.size();
  if (!smaller) std::copy(page.begin(), page.end(), room.begin());
  const size_t kept = smaller ? size : page.size();
  chunk.filled += kept;
  chunk.pages.push_back(
      {smaller ? CopiedPage::Kind::compressed : CopiedPage::Kind::raw, static_cast<uint32_t>(kept)});
}

}  // namespace kvista::dump
