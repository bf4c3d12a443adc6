#include "image/avml_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/cursor.h"
#include "image/extent_image.h"
#include "image/extent_map.h"
#include "image/page_cache.h"
#include "image/range_header.h"
#include "image/snappy_stream.h"

namespace kvista::image {
namespace {

// The writer cuts each range of RAM into blocks of this size, and leaves out those that are all zeros.
constexpr uint64_t kBlockSize = uint64_t{16} << 20;
// Behind the header a framed stream, and behind that its length.
constexpr uint64_t kLengthSize = 8;
// A writer with larger blocks is thinkable; offsets into a stream have 32 bits.
constexpr uint64_t kLargestBlock = uint64_t{1} << 30;
constexpr RangeFormat kAvml{"an AVML dump", 0x4c4d5641, 2, kLargestBlock};  // "AVML" in the file
constexpr size_t kCacheShards = 16;

struct Block {
  uint64_t start = 0;      // of its memory, when that of all blocks stands in a row
  uint64_t stream_at = 0;  // in the file
  std::vector<SnappyChunk> chunks;
  uint32_t size = 0;         // uncompressed
  uint64_t first_chunk = 0;  // its number among the chunks of all blocks
};

class AvmlImage final : public MemoryImage {
 public:
  explicit AvmlImage(File opened) : file_(std::move(opened)), cache_(kLargestSnappyChunk, kCacheShards) {
    // The format names no machine; its own numbers are little-endian on every one.
    traits_ = {file_.path(), "AVML", ByteOrder::little, 8, 0, false};
    std::vector<Extent> extents = read_blocks();
    if (lengths_wrong_ != 0)
      warnings_.push_back(fmt::format("{} blocks say a wrong size of their compressed data: {}",
                                      lengths_wrong_, first_wrong_length_));
    add_left_out(extents);
    extents_ = ExtentMap(std::move(extents));
    ram_ = extents_.ranges();
    for (const PhysRange& range : ram_) segments_.push_back({std::nullopt, range.start, range.size});
    if (const uint64_t lost = count_lost(extents_); lost != 0)
      warnings_.push_back(fmt::format("{} bytes of memory that the file's headers name are lost", lost));
    if (extents_.overlap() > 0)
      warnings_.push_back(
          fmt::format("blocks overlap: {} bytes of memory are in the file more than once; the block that "
                      "starts first is used",
                      extents_.overlap()));
  }

  ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    return read_extents(extents_, address, out,
                        [this](uint64_t row, std::span<std::byte> part) { return read_row(row, part); });
  }

  std::vector<PhysRange> stored() const override { return extents_.stored(); }
  void clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const override {
    extents_.clear_missing(first, page_shift, bits);
  }
  std::vector<std::byte> read_note(const Note& /*note*/, uint64_t /*limit*/) const override { return {}; }

 private:
  std::vector<Extent> read_blocks() {
    std::vector<Extent> extents;
    uint64_t row = 0;
    uint64_t chunks = 0;
    for (uint64_t at = 0; at < file_.size() || extents.empty();) {
      const RangeHeader header = read_range_header(file_, at);
      if (extents.empty()) check_first_range(file_, kAvml, header);
      if (!kAvml.is_sensible(header)) {
        warnings_.push_back(describe_bad_range(header, at));
        break;
      }
      const auto size = static_cast<uint32_t>(header.size());
      SnappyStream stream = index_snappy_stream(file_, at + kRangeHeaderSize, size);
      extents.push_back({PhysAddr{header.first}, size, size, stream.size, row});
      const bool is_last = !check_end(stream, at);
      const uint64_t first_chunk = chunks;
      chunks += stream.chunks.size();
      blocks_.push_back({row, at + kRangeHeaderSize, std::move(stream.chunks), stream.size, first_chunk});
      row += size;
      if (is_last) break;
      at = stream.end + kLengthSize;
    }
    return extents;
  }

  // What there is to say of the end of the block at `at`. False where it is not known what follows.
  bool check_end(const SnappyStream& stream, uint64_t at) {
    if (stream.how == SnappyStream::End::damaged) {
      warnings_.push_back(
          fmt::format("a chunk of compressed data at offset {:#x} makes no sense: what follows there is lost",
                      stream.end));
      return false;
    }
    if (stream.how == SnappyStream::End::cut) {
      warnings_.push_back(fmt::format(
          "the file is cut short within the block at offset {:#x}: what came behind it is lost", at));
      return false;
    }
    std::array<std::byte, kLengthSize> bytes{};
    Cursor in{std::span(bytes).first(file_.read_at(stream.end, bytes)), ByteOrder::little};
    const uint64_t length = in.u64();
    const uint64_t right = stream.end - at - kRangeHeaderSize;
    if (!in.ok())
      warnings_.push_back(fmt::format("the file is cut short behind the block at offset {:#x}", at));
    else if (length != right && lengths_wrong_++ == 0)
      first_wrong_length_ =
          fmt::format("the one at offset {:#x} has {} bytes, and says {}", at, right, length);
    return in.ok();
  }

  // A block that would fit between two others of the file, on the grid that the writer cuts along, was all
  // zeros, or there is no memory: which of both the file does not say.
  static void add_left_out(std::vector<Extent>& extents) {
    const size_t blocks = extents.size();
    for (size_t i = 1; i < blocks; ++i) {
      const PhysAddr end = extents[i - 1].end();
      const PhysAddr next = extents[i].start;
      if (extents[i - 1].size != kBlockSize || next <= end || (next - end) % kBlockSize != 0) continue;
      extents.push_back({end, next - end, 0, 0, 0});
    }
  }

  const Block& block_of(uint64_t row) const {
    return *std::prev(std::upper_bound(blocks_.begin(), blocks_.end(), row,
                                       [](uint64_t at, const Block& block) { return at < block.start; }));
  }

  static size_t chunk_of(const Block& block, uint64_t into) {
    const auto after =
        std::upper_bound(block.chunks.begin(), block.chunks.end(), into,
                         [](uint64_t at, const SnappyChunk& chunk) { return at < chunk.start; });
    return static_cast<size_t>(after - block.chunks.begin()) - 1;
  }

  static size_t chunk_size(const Block& block, size_t index) {
    const uint32_t end = index + 1 < block.chunks.size() ? block.chunks[index + 1].start : block.size;
    return end - block.chunks[index].start;
  }

  // Bytes from `row` on, all of which blocks hold. Chunks that are wanted whole go straight into `out`.
  ReadResult read_row(uint64_t row, std::span<std::byte> out) const {
    const Block& block = block_of(row);
    size_t done = 0;
    for (size_t index = chunk_of(block, row - block.start); done < out.size(); ++index) {
      const SnappyChunk& chunk = block.chunks.at(index);
      const size_t into = row + done - block.start - chunk.start;
      const size_t size = chunk_size(block, index);
      const auto part = out.subspan(done, std::min(size - into, out.size() - done));
      const PageState state = part.size() == size ? read_snappy_chunk(file_, block.stream_at, chunk, part)
                                                  : read_within(block, index, into, part);
      if (state != PageState::present) return {done, state};
      done += part.size();
    }
    return {done, PageState::present};
  }

  // Bytes of one chunk, by way of the cache.
  PageState read_within(const Block& block, size_t index, size_t into, std::span<std::byte> out) const {
    const Pfn number{block.first_chunk + index};
    if (cache_.read(number, into, out)) return PageState::present;
    std::array<std::byte, kLargestSnappyChunk> buffer;
    const auto whole = std::span(buffer).first(chunk_size(block, index));
    const PageState state = read_snappy_chunk(file_, block.stream_at, block.chunks.at(index), whole);
    if (state != PageState::present) return state;
    cache_.insert(number, whole);
    std::copy_n(whole.begin() + static_cast<ptrdiff_t>(into), out.size(), out.begin());
    return PageState::present;
  }

  File file_;
  PageCache cache_;
  ExtentMap extents_;
  std::vector<Block> blocks_;  // in the order of the file
  uint64_t lengths_wrong_ = 0;
  std::string first_wrong_length_;
};

}  // namespace

bool looks_like_avml(std::span<const std::byte> head) {
  Cursor in(head, ByteOrder::little);
  return in.u32() == kAvml.magic && in.ok();
}

std::unique_ptr<MemoryImage> open_avml(File file) {
  return std::make_unique<AvmlImage>(std::move(file));
}

}  // namespace kvista::image
