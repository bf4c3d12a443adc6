// How many frames of each class there are, and how many a dump of each level holds.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "kvista/export.h"
#include "kvista/image.h"
#include "kvista/page_class.h"

namespace kvista::pages {

struct CensusOptions {
  unsigned threads = 1;
  bool look_for_zeros_elsewhere = false;  ///< sample the other classes for zero pages
  bool exact = false;                     ///< look at all of their pages, not at a sample
};

/// How many pages of a class hold only zeros, from those that were looked at.
struct ZeroShare {
  uint64_t looked_at = 0;
  uint64_t zeros = 0;
  uint64_t missing = 0;  ///< pages that were to be looked at, and are not in the image
};

/// The allocator's own count of free pages against the census.
struct FreeCheck {
  uint64_t counted = 0;                ///< frames of class free, less unaccepted ones
  std::optional<uint64_t> free_lists;  ///< nothing where the zones cannot be read ...
  std::string why_not;                 ///< ... and why
};

/// Frames that a dump of a level holds.
struct LevelCount {
  uint64_t pages = 0;
  uint64_t error = 0;  ///< the estimate's: in 19 of 20 cases the true number is within it
  bool estimate = false;
};

/// What could not be looked at.
struct ScanGaps {
  /// Frames of kern_data whose bytes are not in the image, by why: zero or not, unknown which.
  std::array<uint64_t, image::kPageStateCount> unread_by_state{};
  uint64_t without_struct = 0;  ///< frames in a section whose struct page is not in the image
  uint64_t without_section =
      0;  ///< frames that no section has: they have no struct page, and are not visited
  uint64_t unread() const {
    return std::accumulate(unread_by_state.begin(), unread_by_state.end(), uint64_t{0});
  }
  ScanGaps& operator+=(const ScanGaps& other) {
    for (size_t i = 0; i < unread_by_state.size(); ++i) unread_by_state.at(i) += other.unread_by_state.at(i);
    without_struct += other.without_struct;
    without_section += other.without_section;
    return *this;
  }
};

class KVISTA_API Census {
 public:
  uint64_t total() const;
  uint64_t count(PageClass page_class) const;
  /// Frames of a class that have a flag.
  uint64_t count_flagged(PageClass page_class, ClassFlag flag) const;
  LevelCount dumpable(unsigned level) const;

  uint64_t page_size = 0;                            ///< bytes in a page, and so in a frame
  std::array<uint64_t, 256> by_byte{};               ///< frames by ClassByte
  std::array<ZeroShare, kClassCount> zero_shares{};  ///< by class
  bool exact = false;
  ScanGaps gaps;
  FreeCheck free_check;
  std::vector<std::string> warnings;
};

}  // namespace kvista::pages
