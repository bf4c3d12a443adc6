// The pages in one kdump-compressed file: their descriptors, and their bytes.
#pragma once

#include <cstdint>
#include <span>

#include "base/file.h"
#include "image/kdump_header.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Where a page's bytes are. `page_flags` of the file is not kept: it is always 0.
struct PageDescriptor {
  uint64_t offset = 0;
  uint32_t size = 0;
  uint32_t flags = 0;  ///< which codec; 0: not compressed
};

/// What is wrong with a descriptor by itself.
enum class DescriptorFault : uint8_t {
  none,           ///< it can be right
  empty,          ///< the writer had no bytes for this page
  in_tables,      ///< it leads in front of the first page
  too_far,        ///< it leads farther than all pages together need
  wrong_size,     ///< no page has this size
  unknown_codec,  ///< its flags name no codec
};
inline constexpr size_t kDescriptorFaults = 6;

class KdumpPages {
 public:
  /// Throws FormatError where the first descriptors are noise. `count` pages should be in the file.
  KdumpPages(const File& file, const KdumpHeader& header, uint64_t count);

  /// So many descriptors are read at once.
  static constexpr size_t kMostAtOnce = 64;

  /// Reads the descriptors `first`, `first` + 1 ... Gives how many could be read: fewer where the file is
  /// cut. Of two neighbours whose bytes overlap one is wrong, unknown which: both come back as damaged.
  size_t read_descriptors(const File& file, uint64_t first, std::span<PageDescriptor> out) const;

  /// The same as they stand in the file, whatever is wrong with them.
  size_t read_stored(const File& file, uint64_t first, std::span<PageDescriptor> out) const;
  DescriptorFault fault_of(const PageDescriptor& descriptor) const;
  /// Whether two of them, neither with a fault, share some of their bytes but not all.
  static bool overlap(const PageDescriptor& a, const PageDescriptor& b);

  /// Fills `page` with the page's bytes: `present`, `lost` or `unreadable`. With `window` the file is looked
  /// at through it, else read. Throws Unsupported for a codec that this build lacks.
  PageState read_page(const File& file, const PageDescriptor& descriptor, std::span<std::byte> page,
                      FileWindow* window) const;

  /// How many pages should be in the file.
  uint64_t count() const { return count_; }
  /// How many descriptors are behind the end of the file.
  uint64_t missing() const { return missing_; }
  /// Where the pages' bytes begin.
  uint64_t first_page() const;
  /// Where the page is that all pages of zeros share; 0: there is none.
  uint64_t zero_page_at() const { return zero_page_at_; }
  /// Where the last of the pages end, as their descriptors say; 0 where these say nothing.
  uint64_t end(const File& file) const;

 private:
  bool is_possible(const PageDescriptor& descriptor) const;
  bool conflict(const PageDescriptor& a, const PageDescriptor& b) const;
  void check_first(const File& file) const;
  void find_zero_page(const File& file);

  ByteOrder order_;
  uint32_t page_size_;
  uint64_t table_at_;
  uint64_t count_;
  uint64_t missing_ = 0;
  uint64_t file_size_;
  uint64_t zero_page_at_ = 0;
};

}  // namespace kvista::image
