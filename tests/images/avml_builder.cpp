#include "images/avml_builder.h"

#include <algorithm>
#include <array>

#include "images/byte_writer.h"
#include "images/compress.h"

namespace kvista::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kBlock = 16 << 20;
constexpr size_t kChunk = 65536;

// Bit by bit but for a table of bytes, so that it owes nothing to the code that is tested.
uint32_t checksum(std::span<const std::byte> bytes) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t byte = 0; byte < table.size(); ++byte) {
      uint32_t rest = byte;
      for (int bit = 0; bit < 8; ++bit) rest = (rest & 1) == 0 ? rest / 2 : rest / 2 ^ 0x82f63b78;
      table.at(byte) = rest;
    }
    return table;
  }();
  uint32_t sum = 0xffffffff;
  for (const std::byte byte : bytes)
    sum = sum / 256 ^ kTable.at(static_cast<uint8_t>(sum) ^ static_cast<uint8_t>(byte));
  return ~sum;
}

void append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

Bytes snappy_chunk(uint8_t type, std::span<const std::byte> body) {
  ByteWriter out;
  out.u32(static_cast<uint32_t>(body.size() << 8) | type);
  out.bytes(body);
  return out.take();
}

Bytes snappy_data_chunk(std::span<const std::byte> bytes) {
  const uint32_t sum = checksum(bytes);
  const Bytes packed = compress(codec::Codec::snappy, bytes);
  const bool pays = packed.size() < bytes.size() - bytes.size() / 8;
  ByteWriter body;
  body.u32((sum >> 15 | sum << 17) + 0xa282ead8);
  body.bytes(pays ? packed : bytes);
  return snappy_chunk(pays ? 0 : 1, body.take());
}

Bytes snappy_stream(std::span<const std::byte> bytes) {
  ByteWriter identifier;
  identifier.text("sNaPpY");
  Bytes stream = snappy_chunk(0xff, identifier.take());
  for (size_t at = 0; at < bytes.size(); at += kChunk)
    append(stream, snappy_data_chunk(bytes.subspan(at, std::min(kChunk, bytes.size() - at))));
  return stream;
}

Bytes avml_block(uint64_t start, uint64_t size, std::span<const std::byte> stream) {
  ByteWriter out;
  out.text("AVML");
  out.u32(2);
  out.u64(start);
  out.u64(start + size - 1);
  out.u64(0);
  out.bytes(stream);
  out.u64(stream.size());
  return out.take();
}

void write_avml(const MemoryBytes& memory, const std::vector<Range>& ram, Sink& sink) {
  uint64_t at = 0;
  for (const Range& range : ram) {
    for (uint64_t start = range.start; start < range.end; start += kBlock) {
      Bytes block(std::min(kBlock, range.end - start));
      memory({start, start + block.size()}, [&](uint64_t address, std::span<const std::byte> bytes) {
        std::copy(bytes.begin(), bytes.end(), block.begin() + static_cast<ptrdiff_t>(address - start));
      });
      if (std::all_of(block.begin(), block.end(), [](std::byte byte) { return byte == std::byte{0}; }))
        continue;
      const Bytes bytes = avml_block(start, block.size(), snappy_stream(block));
      sink.write(at, bytes);
      at += bytes.size();
    }
  }
}

}  // namespace kvista::test
