// The pages of a kdump-compressed file and their descriptors, appended side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/endian.h"
#include "dump/output.h"
#include "dump/page_copier.h"

namespace kvista::dump {

/// For one thread at a time.
class PageTableWriter {
 public:
  struct Layout {
    uint64_t descriptors_at = 0;
    uint64_t pages_at = 0;  ///< the page of zeros comes first
    uint32_t page_size = 0;
    uint32_t codec_flag = 0;    ///< of compressed pages
    uint32_t missing_size = 0;  ///< what the descriptor of a page that is missing says of its size
    ByteOrder order = ByteOrder::little;
  };
  /// Writes the page of zeros.
  PageTableWriter(Output& output, const Layout& layout);

  /// Throws OutputFailed.
  void add(const CopiedChunk& chunk);
  /// The next page that is added is that of descriptor `index`. Throws OutputFailed.
  void go_to(uint64_t index);
  /// Writes what is still held. Throws OutputFailed.
  void flush();

  /// Pages whose descriptors are written and lead to their bytes, those of zeros among them.
  uint64_t written() const { return written_; }
  uint64_t zeros() const { return zeros_; }
  /// The end of the last page that is written.
  uint64_t end() const { return pages_end_ - pages_.size(); }

 private:
  void add_descriptor(uint64_t offset, uint32_t size, uint32_t flags);

  Output& output_;
  Layout layout_;
  std::vector<std::byte> pages_;        // not written yet; they end at pages_end_
  std::vector<std::byte> descriptors_;  // not written yet
  uint64_t pages_end_;
  uint64_t descriptors_at_;  // where the first of descriptors_ belongs
  uint64_t held_ = 0;        // pages that descriptors_ leads to
  uint64_t held_zeros_ = 0;
  uint64_t written_ = 0;
  uint64_t zeros_ = 0;
};

}  // namespace kvista::dump
