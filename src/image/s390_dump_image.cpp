#include "image/s390_dump_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/cursor.h"
#include "base/error.h"
#include "image/extent_image.h"

namespace kvista::image {
namespace {

// s390-tools: include/dump/s390_dump.h. All numbers are big-endian.
constexpr uint64_t kMagic = 0xa8190173618f23fd;
constexpr uint64_t kExtendedMagic = 0xa8190173618f23fe;
constexpr uint64_t kHeaderSize = 4096;
constexpr uint64_t kSegmentHeaderSize = 4096;
constexpr uint64_t kSizeAt = 0x18;  // after magic, version, header size, dump level and page size
constexpr uint64_t kArchAt = 0x48;  // after start, end, pages, padding, time and CPU
constexpr uint64_t kVolumesAt = 0x5c;
constexpr uint32_t kArch64 = 2;
constexpr std::string_view kEnd = "DUMP_END";
constexpr uint16_t kElfS390 = 22;  // EM_S390, which is the machine of all of these
constexpr size_t kMostSegments = 65536;

struct Header {
  bool is_extended = false;
  uint64_t memory = 0;  // where RAM ends
  uint32_t arch = 0;
  bool has_volumes = false;
};

struct SegmentHeader {
  uint64_t start = 0;
  uint64_t size = 0;
  bool is_last = false;
  bool is_compressed = false;
};

Header read_header(const File& file) {
  std::array<std::byte, kHeaderSize> bytes{};
  const size_t got = file.read_at(0, bytes);
  if (got < bytes.size())
    throw FormatError(fmt::format("{}: a stand-alone dump of s390x that ends within its header", file.path()),
                      got);
  Cursor in(bytes, ByteOrder::big);
  Header header;
  header.is_extended = in.u64() == kExtendedMagic;
  in.seek(kSizeAt);
  header.memory = in.u64();
  in.seek(kArchAt);
  header.arch = in.u32();
  in.seek(kVolumesAt);
  header.has_volumes = in.u8() != 0;
  return header;
}

void check(const File& file, const Header& header) {
  if (header.arch != kArch64)
    throw Unsupported(
        fmt::format("{}: a stand-alone dump of a 31-bit machine (architecture {}); kvista reads "
                    "those of s390x",
                    file.path(), header.arch));
  if (header.has_volumes)
    throw Unsupported(
        fmt::format("{}: one volume of a stand-alone dump on several disks: copy the dump with "
                    "zgetdump, which makes one file of it",
                    file.path()));
  if (header.memory == 0 || !checked_add(header.memory, kHeaderSize))
    throw FormatError(
        fmt::format("{}: a stand-alone dump of s390x whose header makes no sense: {} bytes of memory",
                    file.path(), header.memory),
        kSizeAt);
}

class S390DumpImage final : public ExtentImage {
 public:
  explicit S390DumpImage(File opened) : ExtentImage(std::move(opened)) {
    const Header header = read_header(file());
    check(file(), header);
    traits_ = {file().path(),  header.is_extended ? "s390 stand-alone, extended" : "s390 stand-alone",
               ByteOrder::big, 8,
               kElfS390,       false};
    std::vector<Extent> extents = header.is_extended ? read_segments() : whole_memory(header.memory);
    for (const Extent& extent : extents) segments_.push_back({std::nullopt, extent.start, extent.size});
    ExtentMap map(std::move(extents));
    if (const uint64_t lost = count_lost(map); lost != 0)
      warnings_.push_back(describe_lost(lost));
    else
      check_end();
    if (map.overlap() > 0)
      warnings_.push_back(
          fmt::format("segments overlap: {} bytes of memory are in the file more than once; the "
                      "segment that starts first is used",
                      map.overlap()));
    set_extents(std::move(map));
  }

 private:
  Extent extent_at(uint64_t start, uint64_t size) {
    const uint64_t there = std::min(size, file().size() - std::min(file().size(), at_));
    const Extent extent{PhysAddr{start}, size, size, there, at_};
    at_ += size;
    return extent;
  }

  std::vector<Extent> whole_memory(uint64_t size) { return {extent_at(0, size)}; }

  std::vector<Extent> read_segments() {
    std::vector<Extent> extents;
    while (const auto header = read_segment_header()) {
      at_ += kSegmentHeaderSize;
      if (!is_sensible(*header)) {
        at_ -= kSegmentHeaderSize;
        return stop(std::move(extents), "makes no sense");
      }
      if (header->is_compressed)
        throw Unsupported(
            fmt::format("{}: a stand-alone dump with compressed segments: copy it with zgetdump, "
                        "which unpacks them",
                        file().path()));
      extents.push_back(extent_at(header->start, header->size));
      if (header->is_last) return extents;
      if (extents.size() == kMostSegments) return stop(std::move(extents), "is one too many");
    }
    return stop(std::move(extents), "is not in the file");
  }

  std::optional<SegmentHeader> read_segment_header() const {
    std::array<std::byte, 28> bytes{};
    if (file().size() < at_ + kSegmentHeaderSize || file().read_at(at_, bytes) != bytes.size())
      return std::nullopt;
    Cursor in(bytes, ByteOrder::big);
    SegmentHeader header;
    header.start = in.u64();
    header.size = in.u64();
    header.is_last = in.u64() != 0;
    header.is_compressed = in.u32() != 0;  // its blocks on disk
    return header;
  }

  bool is_sensible(const SegmentHeader& header) const {
    const auto end = checked_add(header.start, header.size);
    return header.size != 0 && end && checked_add(at_, header.size);
  }

  std::vector<Extent> stop(std::vector<Extent> extents, const char* why) {
    if (extents.empty())
      throw FormatError(fmt::format("{}: a stand-alone dump of s390x without memory: its first segment {}",
                                    file().path(), why),
                        at_);
    is_ended_ = true;
    warnings_.push_back(
        fmt::format("the header of a segment at offset {} {}: what follows is not read", at_, why));
    return extents;
  }

  void check_end() {
    if (is_ended_) return;
    std::array<std::byte, kEnd.size()> mark{};
    if (file().read_at(at_, mark) != mark.size() ||
        std::string_view(reinterpret_cast<const char*>(mark.data()), mark.size()) != kEnd)
      warnings_.emplace_back("the dump has no end mark: it was not finished");
  }

  uint64_t at_ = kHeaderSize;
  bool is_ended_ = false;  // said already
};

}  // namespace

bool looks_like_s390_dump(std::span<const std::byte> head) {
  Cursor in(head, ByteOrder::big);
  const uint64_t magic = in.u64();
  return in.ok() && (magic == kMagic || magic == kExtendedMagic);
}

std::unique_ptr<MemoryImage> open_s390_dump(File file) {
  return std::make_unique<S390DumpImage>(std::move(file));
}

}  // namespace kvista::image
