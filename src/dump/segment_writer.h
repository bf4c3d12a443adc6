// The pages of an ELF core file, and its segments, which are made of them as they come.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "dump/gaps.h"
#include "dump/output.h"
#include "dump/page_copier.h"
#include "image/elf_core.h"
#include "image/own_note.h"

namespace kvista::dump {

/// A segment is a run of pages; those at its end that are zeros are behind p_filesz. For one thread at a
/// time.
class SegmentWriter {
 public:
  struct Layout {
    uint64_t headers_at = 0;    ///< of the segments
    uint64_t missing_at = 0;    ///< the table of what is missing
    uint64_t missing_room = 0;  ///< entries that it has room for
    uint64_t pages_at = 0;
    uint64_t most = 0;                     ///< segments
    uint64_t at_once = uint64_t{1} << 20;  ///< bytes of pages that are written together, at least a page
    unsigned page_shift = 0;
    ByteOrder order = ByteOrder::little;
    unsigned word_size = 8;
    std::optional<uint64_t> direct_map;  ///< where physical address 0 is mapped, or would be, if known
  };
  /// `tell(segments, missing)` is to make the file say how many segments, and entries of the table, it has.
  using Tell = std::function<void(uint64_t segments, uint64_t missing)>;
  SegmentWriter(Output& output, const GapRule& rule, const Layout& layout, Tell tell);

  /// Pages whose frames come after those before. Throws OutputFailed.
  void add(const CopiedChunk& chunk);
  /// Ends the last segment, and writes what is held. Throws OutputFailed.
  void finish();

  /// Pages that segments in the file hold, those of zeros among them.
  uint64_t written() const { return written_; }
  uint64_t zeros() const { return zeros_; }
  /// Pages that were left out, and have room in a segment all the same.
  uint64_t joined() const { return joined_; }
  /// What is missing in segments or was lost: more than the table has room for, perhaps.
  const std::vector<image::MissingRange>& missing() const { return missing_; }
  /// The end of the last page.
  uint64_t end() const { return pages_end_; }

 private:
  struct Segment {
    Pfn first;
    uint64_t offset = 0;
    uint64_t in_file = 0;  // frames
    uint64_t behind = 0;   // frames that are not in the file yet: zeros and holes
    uint64_t zeros = 0;    // the last of them, which are all zeros
    uint64_t pages = 0;    // of the dump
    uint64_t zero_pages = 0;
    Pfn end() const { return first + (in_file + behind); }
  };

  void add_page(Pfn pfn, const CopiedPage& page, std::span<const std::byte> bytes);
  void add_zero(Pfn pfn);
  void add_bytes(Pfn pfn, std::span<const std::byte> bytes);
  void add_missing(Pfn pfn);
  void go_to(Pfn pfn);
  void open(Pfn pfn);
  void close();
  bool may_split(uint64_t zeros) const;
  void skip_behind();
  void write_zeros(uint64_t size);
  void settle_holes();
  void write_missing();
  void remember(Pfn first, uint64_t frames, image::PageState state);
  void flush_pages();
  void flush();
  image::ProgramHeader header_of(const Segment& segment) const;

  Output& output_;
  const GapRule& rule_;
  Layout layout_;
  Tell tell_;
  std::optional<Segment> open_;
  std::optional<Pfn> last_end_;  // of the frames that came, kept or missing
  bool planned_split_ = true;    // whether the rule has counted the segment that comes next
  uint64_t spare_ = 0;           // segments that may be made beyond those of the rule
  uint64_t spare_at_first_ = 0;
  std::vector<std::byte> pages_;    // not written yet; they end at pages_end_
  std::vector<std::byte> headers_;  // of segments that are closed, and not written yet
  uint64_t pages_end_;
  uint64_t closed_ = 0;  // segments whose headers are written or held
  uint64_t closed_pages_ = 0;
  uint64_t closed_zeros_ = 0;
  uint64_t written_ = 0;
  uint64_t zeros_ = 0;
  uint64_t joined_ = 0;
  uint64_t flushed_at_ = 0;  // pages_end_ when headers were last written
  std::vector<image::MissingRange> missing_;
  size_t missing_written_ = 0;  // entries that are final in the file
};

}  // namespace kvista::dump
