// One kdump-compressed file: a whole dump, or a part of a split one.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "dump/output.h"
#include "dump/plan.h"
#include "dump/request.h"
#include "dump/second_bitmap.h"
#include "image/kdump_header.h"

namespace kvista::dump {

/// The frames whose pages a file holds, and how many of them are kept.
struct Part {
  Pfn first;
  Pfn end;
  uint64_t pages = 0;
};

class KdumpFile {
 public:
  /// Makes the file. Throws as create_output().
  KdumpFile(const DumpPlan& plan, const DumpRequest& request, const std::string& path);

  /// Header, notes, room for both bitmaps, and the first of them: how many frames are memory. Throws
  /// OutputFailed.
  uint64_t write_tables();
  /// Where the decisions belong; of a dry run they are kept where later ones need them.
  SecondBitmap second_bitmap() const;
  /// How large the file is with so many pages, if none compresses.
  uint64_t most_bytes(uint64_t pages) const;
  void copy_second_bitmap(const SecondBitmap& from);

  /// A part's pages, and the mark that the file is complete. A failure of the output is in the result.
  DumpResult write_pages(const DumpRequest& request, const SecondBitmap& second, const Part& part);

 private:
  void fill_header(const DumpRequest& request);
  void write_header() { output_->write(0, image::kdump_header_bytes(header_)); }
  uint64_t second_bitmap_at() const { return header_.bitmaps_at() + header_.bitmap_size(); }
  void close(uint64_t pages_end, std::span<const std::byte> erased);

  const DumpPlan& plan_;
  bool flattened_;
  bool is_part_;
  bool keeps_decisions_;
  image::KdumpHeader header_;
  std::unique_ptr<Output> output_;
};

}  // namespace kvista::dump
