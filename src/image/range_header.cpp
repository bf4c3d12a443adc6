#include "image/range_header.h"

#include <fmt/format.h>

#include <array>

#include "base/cursor.h"
#include "base/error.h"

namespace kvista::image {

bool RangeFormat::is_sensible(const RangeHeader& header) const {
  return header.whole && header.magic == magic && header.version == version && header.first <= header.last &&
         header.last != UINT64_MAX && header.size() <= largest;
}

RangeHeader read_range_header(const File& file, uint64_t at) {
  std::array<std::byte, kRangeHeaderSize> bytes{};
  Cursor in{std::span(bytes).first(file.read_at(at, bytes)), ByteOrder::little};
  RangeHeader header{in.u32(), in.u32(), in.u64(), in.u64()};
  in.skip(8);
  header.whole = in.ok();
  return header;
}

void check_first_range(const File& file, const RangeFormat& format, const RangeHeader& header) {
  if (!header.whole)
    throw FormatError(
        fmt::format("{}: {} whose header is cut off: the file is cut short", file.path(), format.name), 0);
  if (header.version != format.version)
    throw FormatError(fmt::format("{}: {} of version {}; known is only version {}", file.path(), format.name,
                                  header.version, format.version),
                      4);
  if (!format.is_sensible(header))
    throw FormatError(
        fmt::format("{}: {} whose first range, {:#x}-{:#x}, makes no sense: the file is damaged", file.path(),
                    format.name, header.first, header.last),
        8);
}

std::string describe_bad_range(const RangeHeader& header, uint64_t at) {
  return fmt::format("the header of a range at offset {:#x} {}: what follows there is lost", at,
                     header.whole ? "makes no sense" : "is cut short");
}

}  // namespace kvista::image
