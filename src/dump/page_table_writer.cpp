#include "dump/page_table_writer.h"

#include "image/kdump_header.h"

namespace kvista::dump {
namespace {

using image::kKdumpDescriptorSize;
constexpr size_t kPagesAtOnce = size_t{1} << 20;
// As much is written from where it is: to copy it behind other pages first would cost more than a write
// saves.
constexpr size_t kWrittenAlone = size_t{128} << 10;
constexpr size_t kDescriptorsAtOnce = size_t{64} << 10;

}  // namespace

PageTableWriter::PageTableWriter(Output& output, const Layout& layout)
    : output_(output), layout_(layout), pages_end_(layout.pages_at), descriptors_at_(layout.descriptors_at) {
  pages_.reserve(kPagesAtOnce + kWrittenAlone);
  pages_.resize(layout.page_size);
  pages_end_ += layout.page_size;
}

void PageTableWriter::add_descriptor(uint64_t offset, uint32_t size, uint32_t flags) {
  const size_t at = descriptors_.size();
  descriptors_.resize(at + kKdumpDescriptorSize);
  store(&descriptors_[at], offset, layout_.order);
  store(&descriptors_[at + 8], size, layout_.order);
  store(&descriptors_[at + 12], flags, layout_.order);
}

void PageTableWriter::go_to(uint64_t index) {
  const uint64_t at = layout_.descriptors_at + index * kKdumpDescriptorSize;
  if (at == descriptors_at_ + descriptors_.size()) return;
  flush();
  descriptors_at_ = at;
}

void PageTableWriter::add(const CopiedChunk& chunk) {
  const auto bytes = chunk.bytes();
  const bool alone = bytes.size() >= kWrittenAlone;
  if (alone) flush();
  uint64_t at = pages_end_;
  for (const CopiedPage& page : chunk.pages) {
    switch (page.kind) {
      case CopiedPage::Kind::zero:
        add_descriptor(layout_.pages_at, layout_.page_size, 0);
        ++held_zeros_;
        break;
      case CopiedPage::Kind::missing:
        add_descriptor(0, layout_.missing_size, 0);
        continue;
      case CopiedPage::Kind::raw:
      case CopiedPage::Kind::compressed:
        add_descriptor(at, page.size, page.kind == CopiedPage::Kind::raw ? 0 : layout_.codec_flag);
        at += page.size;
        break;
    }
    ++held_;
  }
  if (alone)
    output_.write(pages_end_, bytes);
  else
    pages_.insert(pages_.end(), bytes.begin(), bytes.end());
  pages_end_ = at;
  if (alone || pages_.size() >= kPagesAtOnce || descriptors_.size() >= kDescriptorsAtOnce) flush();
}

// A descriptor never goes out before the page that it leads to.
void PageTableWriter::flush() {
  output_.write(pages_end_ - pages_.size(), pages_);
  pages_.clear();
  output_.write(descriptors_at_, descriptors_);
  descriptors_at_ += descriptors_.size();
  descriptors_.clear();
  written_ += held_;
  zeros_ += held_zeros_;
  held_ = held_zeros_ = 0;
}

}  // namespace kvista::dump
