#include "image/lime_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/cursor.h"
#include "base/error.h"
#include "image/extent_image.h"

namespace kvista::image {
namespace {

// Little-endian: magic, version, address of the first and of the last byte, 8 bytes reserved; then the bytes.
constexpr uint32_t kMagic = 0x4c694d45;  // "EMiL" in the file
constexpr uint32_t kVersion = 1;
constexpr uint64_t kHeaderSize = 32;

struct RangeHeader {
  uint32_t magic = 0;
  uint32_t version = 0;
  uint64_t first = 0;
  uint64_t last = 0;
  bool whole = false;  ///< all of it was there

  // A range can neither be empty nor wrap around.
  bool sensible() const {
    return magic == kMagic && version == kVersion && first <= last && last != UINT64_MAX;
  }
};

RangeHeader read_header(const File& file, uint64_t at) {
  std::array<std::byte, kHeaderSize> bytes{};
  Cursor in{std::span(bytes).first(file.read_at(at, bytes)), ByteOrder::little};
  RangeHeader header{in.u32(), in.u32(), in.u64(), in.u64()};
  in.skip(8);
  header.whole = in.ok();
  return header;
}

void check_first(const File& file, const RangeHeader& header) {
  if (!header.whole)
    throw FormatError(
        fmt::format("{}: the header of the LiME dump is cut off: the file is cut short", file.path()), 0);
  if (header.version != kVersion)
    throw FormatError(fmt::format("{}: a LiME dump of version {}; known is only version {}", file.path(),
                                  header.version, kVersion),
                      4);
  if (!header.sensible())
    throw FormatError(
        fmt::format("{}: the first range of the LiME dump, {:#x}-{:#x}, makes no sense: the file "
                    "is damaged",
                    file.path(), header.first, header.last),
        8);
}

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
      const RangeHeader header = read_header(file(), at);
      if (extents.empty()) check_first(file(), header);
      if (!header.whole || !header.sensible()) {
        warnings_.push_back(
            fmt::format("the header of a range at offset {:#x} {}: what follows there is lost", at,
                        header.whole ? "makes no sense" : "is cut short"));
        break;
      }
      at += kHeaderSize;
      const uint64_t size = header.last - header.first + 1;
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
  return in.u32() == kMagic && in.ok();
}

std::unique_ptr<MemoryImage> open_lime(File file) {
  return std::make_unique<LimeImage>(std::move(file));
}

}  // namespace kvista::image
