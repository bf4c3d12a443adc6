#include "images/file_formats.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "images/byte_writer.h"

namespace kvista::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes flattened_header() {
  ByteWriter out;
  out.text("makedumpfile");
  out.zeros(4);
  ByteWriter numbers(ByteOrder::big);
  numbers.u64(1);  // the type
  numbers.u64(1);  // the version
  out.bytes(numbers.take());
  out.zeros(4096 - out.size());
  return out.take();
}

Bytes record_header(uint64_t offset, uint64_t size) {
  ByteWriter out(ByteOrder::big);
  out.u64(offset);
  out.u64(size);
  return out.take();
}

Bytes end_header() {
  return record_header(UINT64_MAX, UINT64_MAX);
}

// What comes one behind the other.
class Stream {
 public:
  explicit Stream(Sink& sink) : sink_(sink) {}
  void add(std::span<const std::byte> bytes) {
    sink_.write(at_, bytes);
    at_ += bytes.size();
  }
  void record(uint64_t offset, std::span<const std::byte> bytes) {
    add(record_header(offset, bytes.size()));
    add(bytes);
  }

 private:
  Sink& sink_;
  uint64_t at_ = 0;
};

void write_range(Sink& sink, uint64_t at, const MemoryBytes& memory, const Range& range) {
  memory(range, [&](uint64_t address, std::span<const std::byte> bytes) {
    sink.write(at + address - range.start, bytes);
  });
}

Bytes read_piece(std::ifstream& file, size_t size) {
  Bytes piece(size);
  file.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(size));
  piece.resize(static_cast<size_t>(file.gcount()));
  return piece;
}

}  // namespace

std::vector<std::byte> flattened_bytes(const std::vector<std::pair<uint64_t, Bytes>>& records,
                                       bool end_mark) {
  MemorySink sink;
  Stream stream(sink);
  stream.add(flattened_header());
  for (const auto& [offset, bytes] : records) stream.record(offset, bytes);
  if (end_mark) stream.add(end_header());
  return sink.take();
}

void flatten(const std::string& plain, Sink& sink) {
  constexpr size_t kRecord = 100001;
  constexpr size_t kHead = 64;
  std::ifstream file(plain, std::ios::binary);
  Bytes first = read_piece(file, kRecord);
  if (first.empty()) throw std::runtime_error("cannot read " + plain);
  const Bytes head(first.begin(), first.begin() + static_cast<ptrdiff_t>(std::min(kHead, first.size())));
  std::fill_n(first.begin(), head.size(), std::byte{0xee});
  Stream stream(sink);
  stream.add(flattened_header());
  stream.record(0, first);
  for (uint64_t at = kRecord;; at += 2 * kRecord) {
    const Bytes one = read_piece(file, kRecord);
    const Bytes other = read_piece(file, kRecord);
    if (!other.empty()) stream.record(at + kRecord, other);
    if (one.empty()) break;
    stream.record(at, one);
  }
  stream.record(0, head);
  stream.add(end_header());
}

std::vector<std::byte> lime_header(const Range& range) {
  ByteWriter out;
  out.text("EMiL");
  out.u32(1);
  out.u64(range.start);
  out.u64(range.end - 1);
  out.u64(0);
  return out.take();
}

void write_lime(const MemoryBytes& memory, const std::vector<Range>& ram, Sink& sink) {
  uint64_t at = 0;
  for (const Range& range : ram) {
    const auto header = lime_header(range);
    sink.write(at, header);
    at += header.size();
    write_range(sink, at, memory, range);
    at += range.end - range.start;
  }
  sink.set_size(at);
}

void write_raw(const MemoryBytes& memory, const std::vector<Range>& ram, Sink& sink) {
  uint64_t end = 0;
  for (const Range& range : ram) {
    write_range(sink, range.start, memory, range);
    end = std::max(end, range.end);
  }
  sink.set_size(end);
}

}  // namespace kvista::test
