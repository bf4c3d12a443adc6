// The header that LiME's and AVML's files have before each stretch of memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.h"

namespace kvista::image {

/// Little-endian in the file: magic, version, address of the first and of the last byte, 8 bytes reserved.
struct RangeHeader {
  uint32_t magic = 0;
  uint32_t version = 0;
  uint64_t first = 0;
  uint64_t last = 0;
  bool whole = false;  ///< all of it was there

  uint64_t size() const { return last - first + 1; }
};
inline constexpr uint64_t kRangeHeaderSize = 32;

/// A format that has such headers.
struct RangeFormat {
  std::string_view name;  ///< with its article: "a LiME dump"
  uint32_t magic = 0;
  uint32_t version = 0;
  uint64_t largest = 0;  ///< no range has more bytes

  /// Whether a header is one of this format. A range can neither be empty nor wrap around.
  bool is_sensible(const RangeHeader& header) const;
};

RangeHeader read_range_header(const File& file, uint64_t at);
/// Throws FormatError where the first header of a file makes no sense.
void check_first_range(const File& file, const RangeFormat& format, const RangeHeader& header);
/// The warning about a later header, at offset `at`, that makes none.
std::string describe_bad_range(const RangeHeader& header, uint64_t at);

}  // namespace kvista::image
