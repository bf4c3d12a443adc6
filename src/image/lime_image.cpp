#include "image/lime_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/cursor.h"
#include "image/extent_image.h"
#include "image/range_header.h"

namespace kvista::image {
namespace {

// The bytes stand behind the header as they are.
constexpr RangeFormat kLime{"a LiME dump", 0x4c694d45, 1, UINT64_MAX};  // "EMiL" in the file

class LimeImage final : public ExtentImage {
 public:
  explicit LimeImage(File opened) : ExtentImage(std::move(opened)) {
    // The format names no machine; its own numbers are little-endian on every one.
    traits_ = {file().path(), "LiME", ByteOrder::little, 8, 0, false};
    std::vector<Extent> extents = read_ranges();
    for (const Extent& extent : extents) segments_.push_back({std::nullopt, extent.start, extent.size});
    ExtentMap map(std::move(extents));
    if (const uint64_t lost = count_lost(map); lost != 0) warnings_.push_back(describe_lost(lost));
    if (map.overlap() > 0)
      warnings_.push_back(
          fmt::format("ranges overlap: {} bytes of memory are in the file more than once; the range that "
                      "starts first is used",
                      map.overlap()));
    set_extents(std::move(map));
  }

 private:
  std::vector<Extent> read_ranges() {
    std::vector<Extent> extents;
    const uint64_t end = file().size();
    for (uint64_t at = 0; at < end || extents.empty();) {
      const RangeHeader header = read_range_header(file(), at);
      if (extents.empty()) check_first_range(file(), kLime, header);
      if (!kLime.is_sensible(header)) {
        warnings_.push_back(describe_bad_range(header, at));
        break;
      }
      at += kRangeHeaderSize;
      const uint64_t size = header.size();
      const uint64_t there = std::min(size, end - at);
      extents.push_back({PhysAddr{header.first}, size, size, there, at});
      at += there;
    }
    return extents;
  }
};

}  // namespace

bool looks_like_lime(std::span<const std::byte> head) {
  Cursor in(head, ByteOrder::little);
  return in.u32() == kLime.magic && in.ok();
}

std::unique_ptr<MemoryImage> open_lime(File file) {
  return std::make_unique<LimeImage>(std::move(file));
}

}  // namespace kvista::image
