#include "image/snappy_stream.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/cursor.h"
#include "codec/codec.h"
#include "codec/crc32c.h"

namespace kvista::image {
namespace {

// A chunk's head: type, and size of what follows in three bytes.
constexpr uint64_t kHeadSize = 4;
constexpr uint32_t kChecksumSize = 4;
// snappy_max_compressed_length(): what a chunk of random bytes can grow to.
constexpr uint32_t kLargestStored = kChecksumSize + 32 + kLargestSnappyChunk + kLargestSnappyChunk / 6;
constexpr std::string_view kIdentifier = "sNaPpY";

enum ChunkType : uint8_t {
  kCompressed = 0x00,
  kPlain = 0x01,
  kFirstSkippable = 0x80,  // to 0xfe, which is padding
  kStreamIdentifier = 0xff,
};

struct Head {
  uint8_t type = 0;
  uint32_t size = 0;
  std::optional<uint32_t> uncompressed;  // of a chunk with data; nothing: it makes no sense
  bool whole = false;
};

// The size that a raw block of Snappy begins with: seven bits a byte, the lowest first.
std::optional<uint32_t> read_size(Cursor& in) {
  uint32_t size = 0;
  for (unsigned shift = 0; shift < 21; shift += 7) {
    const uint8_t byte = in.u8();
    size |= uint32_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return in.ok() && size <= kLargestSnappyChunk ? std::optional(size) : std::nullopt;
  }
  return std::nullopt;
}

Head read_head(const File& file, uint64_t at) {
  std::array<std::byte, kHeadSize + kChecksumSize + 3> bytes{};
  const size_t got = file.read_at(at, bytes);
  Cursor in{std::span(bytes).first(got), ByteOrder::little};
  const uint32_t word = in.u32();
  Head head{static_cast<uint8_t>(word & 0xff), word >> 8, std::nullopt, in.ok()};
  in.skip(kChecksumSize);
  if (head.size < kChecksumSize || head.size > kLargestStored) return head;
  if (head.type == kCompressed) head.uncompressed = read_size(in);
  if (head.type == kPlain && head.size - kChecksumSize <= kLargestSnappyChunk)
    head.uncompressed = head.size - kChecksumSize;
  return head;
}

// Whether a chunk without data makes sense.
bool is_passed_over(const File& file, uint64_t at, const Head& head) {
  if (head.type != kStreamIdentifier) return head.type >= kFirstSkippable;
  std::array<char, kIdentifier.size()> text{};
  const size_t got = file.read_at(at + kHeadSize, std::as_writable_bytes(std::span(text)));
  return head.size == kIdentifier.size() && std::string_view(text.data(), got) == kIdentifier;
}

// The format stores checksums rotated and with a constant added, as a checksum over checksums is no good one.
uint32_t masked(uint32_t crc) {
  return (crc >> 15 | crc << 17) + 0xa282ead8;
}

}  // namespace

SnappyStream index_snappy_stream(const File& file, uint64_t at, uint32_t expected) {
  SnappyStream stream;
  stream.end = at;
  stream.chunks.reserve(std::min<uint64_t>(expected, file.size()) / kLargestSnappyChunk + 1);
  while (stream.size < expected) {
    const Head head = read_head(file, stream.end);
    const uint64_t data = stream.end + kHeadSize;
    if (!head.whole || head.size > file.size() - data) {
      stream.how = SnappyStream::End::cut;
      return stream;
    }
    const bool fits = head.uncompressed && *head.uncompressed <= expected - stream.size;
    // Offsets are kept in 32 bits; a stream of so much memory is never that long.
    if ((!fits && !is_passed_over(file, stream.end, head)) || data + head.size - at > UINT32_MAX) {
      stream.how = SnappyStream::End::damaged;
      return stream;
    }
    if (fits && *head.uncompressed > 0) {
      stream.chunks.push_back(
          {static_cast<uint32_t>(data - at), stream.size, head.size, head.type == kPlain ? 1U : 0U});
      stream.size += *head.uncompressed;
    }
    stream.end = data + head.size;
  }
  return stream;
}

PageState read_snappy_chunk(const File& file, uint64_t stream_at, const SnappyChunk& chunk,
                            std::span<std::byte> out) {
  std::array<std::byte, kLargestStored> buffer;
  const auto stored = std::span(buffer).first(chunk.stored);
  if (file.read_at(stream_at + chunk.at, stored) != stored.size()) return PageState::unreadable;
  const auto data = std::span<const std::byte>(stored).subspan(kChecksumSize);
  if (chunk.plain == 0) {
    if (!codec::decompress_exactly(codec::Codec::snappy, data, out)) return PageState::unreadable;
  } else {
    std::copy_n(data.begin(), out.size(), out.begin());
  }
  const bool right = masked(codec::crc32c(out)) == load<uint32_t>(stored.data(), ByteOrder::little);
  return right ? PageState::present : PageState::unreadable;
}

}  // namespace kvista::image
