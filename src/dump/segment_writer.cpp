#include "dump/segment_writer.h"

#include <algorithm>
#include <utility>

#include "base/bits.h"

namespace kvista::dump {
namespace {

using image::PageState;

// So much may be written of which no header speaks yet: a writer that is killed loses it.
constexpr uint64_t kBetweenHeaders = uint64_t{4} << 20;
// And so much of headers and of the table of what is missing is held back: zeros and holes add no pages.
constexpr uint64_t kMostHeld = uint64_t{256} << 10;

}  // namespace

SegmentWriter::SegmentWriter(Output& output, const GapRule& rule, const Layout& layout, Tell tell)
    : output_(output),
      rule_(rule),
      layout_(layout),
      tell_(std::move(tell)),
      spare_(layout.most - rule.segments()),
      spare_at_first_(spare_),
      pages_end_(layout.pages_at),
      flushed_at_(layout.pages_at) {
  pages_.reserve(layout_.at_once);
  missing_.reserve(rule.holes());
}

void SegmentWriter::add(const CopiedChunk& chunk) {
  size_t index = 0;
  size_t at = 0;
  for_each_run(chunk.bits, [&](uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; ++i) {
      const CopiedPage& page = chunk.pages.at(index++);
      add_page(chunk.first + i, page, chunk.bytes().subspan(at, page.size));
      at += page.size;
    }
  });
  const uint64_t missing = std::min<uint64_t>(missing_.size(), layout_.missing_room) - missing_written_;
  const uint64_t held = headers_.size() + missing * image::kMissingRangeSize;
  if (pages_end_ - flushed_at_ >= kBetweenHeaders || held >= kMostHeld) flush();
}

void SegmentWriter::add_page(Pfn pfn, const CopiedPage& page, std::span<const std::byte> bytes) {
  if (last_end_ && *last_end_ < pfn) go_to(pfn);
  last_end_ = pfn + 1;
  switch (page.kind) {
    case CopiedPage::Kind::zero:
      return add_zero(pfn);
    case CopiedPage::Kind::missing:
      return add_missing(pfn);
    default:
      return add_bytes(pfn, bytes);
  }
}

// What was left out between the last page and this one ends the segment, or is a hole in it.
void SegmentWriter::go_to(Pfn pfn) {
  const Gap gap{*last_end_, pfn};
  if (rule_.ends_segment(gap)) {
    close();
    planned_split_ = true;
    return;
  }
  if (!open_) return;
  remember(gap.first, gap.frames(), PageState::excluded);
  joined_ += gap.frames();
  open_->behind += gap.frames();
  open_->zeros = 0;
}

void SegmentWriter::add_zero(Pfn pfn) {
  if (!open_) open(pfn);
  ++open_->behind;
  ++open_->zeros;
  ++open_->pages;
  ++open_->zero_pages;
}

void SegmentWriter::add_bytes(Pfn pfn, std::span<const std::byte> bytes) {
  if (open_ && open_->behind != 0) {
    if (open_->zeros == open_->behind && may_split(open_->zeros))
      close();
    else
      skip_behind();
  }
  if (!open_) open(pfn);
  pages_.insert(pages_.end(), bytes.begin(), bytes.end());
  pages_end_ += bytes.size();
  ++open_->in_file;
  ++open_->pages;
  if (pages_.size() >= layout_.at_once) flush_pages();
}

void SegmentWriter::add_missing(Pfn pfn) {
  remember(pfn, 1, PageState::lost);
  if (!open_) return;
  if (spare_ > 0) return close();
  ++open_->behind;
  open_->zeros = 0;
}

// Zeros are holes in the file where segments are scarce.
bool SegmentWriter::may_split(uint64_t zeros) const {
  if (spare_ == 0) return false;
  constexpr uint64_t kMany = 8;
  constexpr uint64_t kMost = 512;
  uint64_t least = 1;
  for (uint64_t left = spare_at_first_ / 2; spare_ <= left && least < kMost; left /= 2) least *= kMany;
  return zeros >= least;
}

void SegmentWriter::open(Pfn pfn) {
  if (!std::exchange(planned_split_, false)) --spare_;
  open_ = Segment{pfn, pages_end_, 0, 0, 0, 0, 0};
}

// What is behind the pages in the file gets room in it, and stays a hole there, if it can.
void SegmentWriter::skip_behind() {
  flush_pages();
  const uint64_t size = open_->behind << layout_.page_shift;
  if (!output_.has_holes()) write_zeros(size);
  pages_end_ += size;
  open_->in_file += open_->behind;
  open_->behind = open_->zeros = 0;
}

void SegmentWriter::write_zeros(uint64_t size) {
  const std::vector<std::byte> zeros(std::min(size, layout_.at_once));
  for (uint64_t done = 0; done < size; done += zeros.size())
    output_.write(pages_end_ + done, std::span(zeros).first(std::min<uint64_t>(zeros.size(), size - done)));
}

// Holes before the last zeros cannot be behind p_filesz.
void SegmentWriter::settle_holes() {
  const uint64_t zeros = open_->zeros;
  if (zeros == open_->behind) return;
  open_->behind -= zeros;
  skip_behind();
  open_->behind = open_->zeros = zeros;
}

image::ProgramHeader SegmentWriter::header_of(const Segment& segment) const {
  const uint64_t start = phys_of(segment.first, layout_.page_shift).value;
  return {image::kPtLoad,
          segment.offset,
          layout_.direct_map ? *layout_.direct_map + start : 0,
          start,
          segment.in_file << layout_.page_shift,
          (segment.in_file + segment.behind) << layout_.page_shift};
}

void SegmentWriter::close() {
  if (!open_) return;
  settle_holes();
  const auto header = image::program_header_bytes(header_of(*open_), layout_.order, layout_.word_size);
  headers_.insert(headers_.end(), header.begin(), header.end());
  ++closed_;
  closed_pages_ += open_->pages;
  closed_zeros_ += open_->zero_pages;
  open_.reset();
}

void SegmentWriter::remember(Pfn first, uint64_t frames, PageState state) {
  const PhysRange range{phys_of(first, layout_.page_shift), frames << layout_.page_shift};
  if (!missing_.empty() && missing_.back().state == state && missing_.back().range.end() == range.start)
    missing_.back().range.size += range.size;
  else
    missing_.push_back({range, state});
}

void SegmentWriter::flush_pages() {
  output_.write(pages_end_ - pages_.size(), pages_);
  pages_.clear();
}

// The last entry may grow, and is written again then.
void SegmentWriter::write_missing() {
  const size_t count = std::min<uint64_t>(missing_.size(), layout_.missing_room);
  const auto fresh = std::span(missing_).subspan(missing_written_, count - missing_written_);
  output_.write(layout_.missing_at + missing_written_ * image::kMissingRangeSize,
                image::missing_range_bytes(fresh, layout_.order));
  missing_written_ = count == 0 ? 0 : count - 1;
}

// A header never goes out before the pages that it leads to, and what is missing among them. The segment that
// is open is told, too, as it is now; its header comes again.
void SegmentWriter::flush() {
  if (open_) settle_holes();
  flush_pages();
  write_missing();
  const uint64_t size = image::program_header_size(layout_.word_size);
  const uint64_t first = closed_ - headers_.size() / size;
  uint64_t segments = closed_;
  written_ = closed_pages_;
  zeros_ = closed_zeros_;
  if (open_) {
    const auto header = image::program_header_bytes(header_of(*open_), layout_.order, layout_.word_size);
    headers_.insert(headers_.end(), header.begin(), header.end());
    ++segments;
    written_ += open_->pages;
    zeros_ += open_->zero_pages;
  }
  output_.write(layout_.headers_at + first * size, headers_);
  headers_.clear();
  tell_(segments, std::min<uint64_t>(missing_.size(), layout_.missing_room));
  flushed_at_ = pages_end_;
}

void SegmentWriter::finish() {
  close();
  flush();
}

}  // namespace kvista::dump
