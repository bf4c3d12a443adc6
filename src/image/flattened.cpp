#include "image/flattened.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <queue>
#include <string_view>
#include <utility>

#include "base/cursor.h"
#include "base/error.h"

namespace kvista::image {
namespace {

// 16 bytes of signature, type and version, filled up to 4096 bytes; then records. Numbers are big-endian
// whatever the machine, and signed.
constexpr std::string_view kSignature("makedumpfile\0\0\0\0", 16);
constexpr uint64_t kKnownType = 1;
constexpr uint64_t kKnownVersion = 1;
constexpr uint64_t kEnd = UINT64_MAX;  // -1 as offset: the end of the stream
constexpr uint64_t kMostOffset = INT64_MAX;

struct Records {
  FilePieces pieces;  ///< as they stand in the stream; they may overwrite each other
  std::vector<std::string> warnings;
};

Records read_records(const File& file) {
  Records records;
  uint64_t at = kFlattenedHeaderSize;
  while (true) {
    std::array<std::byte, kFlattenedRecordSize> bytes{};
    if (file.read_at(at, bytes) != bytes.size()) {
      records.warnings.push_back(fmt::format(
          "the flattened stream is cut short at offset {:#x}, before its end mark: the rest is lost", at));
      return records;
    }
    const auto [kind, start, size] = parse_flattened_record(bytes);
    if (kind == FlattenedRecord::Kind::end) return records;
    if (kind == FlattenedRecord::Kind::damaged) {
      records.warnings.push_back(
          fmt::format("the flattened stream is damaged at offset {:#x}: what follows there is lost", at));
      return records;
    }
    at += kFlattenedRecordSize;
    const uint64_t there = std::min(size, file.size() - std::min(at, file.size()));
    if (there > 0) records.pieces.push_back({start, there, at});
    if (there < size) {
      records.warnings.push_back(fmt::format(
          "the flattened stream is cut short: the record at offset {:#x} should have {} bytes, and "
          "{} are there; it and what came after it are lost",
          at - kFlattenedRecordSize, size, there));
      return records;
    }
    at += size;
  }
}

void append(FilePieces& pieces, const FilePiece& piece) {
  if (!pieces.empty()) {
    FilePiece& last = pieces.back();
    const uint64_t next = last.offset == kZeroPiece ? kZeroPiece : last.offset + last.size;
    if (last.end() == piece.start && next == piece.offset) {
      last.size += piece.size;
      return;
    }
  }
  pieces.push_back(piece);
}

// Writers fill up a block (of a page: 4 to 64 KiB) by going on at the next one: in the file that the stream
// stands for these bytes are zeros. A hole of any other form is missing, not zeros: no writer leaves one.
void append_behind_padding(FilePieces& pieces, const FilePiece& piece) {
  constexpr uint64_t kBlock = 4096;
  const uint64_t end = pieces.empty() ? 0 : pieces.back().end();
  const uint64_t hole = piece.start - end;
  if (hole > 0 && hole < kFlattenedPadding && piece.start % kBlock == 0)
    append(pieces, {end, hole, kZeroPiece});
  append(pieces, piece);
}

// Later records overwrite earlier ones: makedumpfile and QEMU write headers again at the end. What stands
// later in the stream has the larger offset in it.
FilePieces arrange(FilePieces records) {
  const auto earlier = [](const FilePiece& a, const FilePiece& b) { return a.offset < b.offset; };
  std::sort(records.begin(), records.end(),
            [](const FilePiece& a, const FilePiece& b) { return a.start < b.start; });
  std::priority_queue<FilePiece, std::vector<FilePiece>, decltype(earlier)> open(earlier);
  FilePieces pieces;
  // Millions of records: room that grows would be copied, and be there twice.
  pieces.reserve(records.size());
  uint64_t at = 0;
  for (auto next = records.begin(); next != records.end() || !open.empty();) {
    if (open.empty()) at = std::max(at, next->start);
    while (next != records.end() && next->start <= at) open.push(*next++);
    while (!open.empty() && open.top().end() <= at) open.pop();
    if (open.empty()) continue;
    const FilePiece& top = open.top();
    const uint64_t end = next == records.end() ? top.end() : std::min(top.end(), next->start);
    append_behind_padding(pieces, {at, end - at, top.offset + (at - top.start)});
    at = end;
  }
  return pieces;
}

}  // namespace

bool looks_flattened(std::span<const std::byte> head) {
  return head.size() >= kSignature.size() &&
         std::string_view(reinterpret_cast<const char*>(head.data()), kSignature.size()) == kSignature;
}

void check_flattened_header(std::span<const std::byte> header, const std::string& path) {
  Cursor in{header, ByteOrder::big};
  in.skip(kSignature.size());
  const uint64_t type = in.u64();
  const uint64_t version = in.u64();
  if (!in.ok())
    throw FormatError(
        fmt::format("{}: the header of the flattened stream is cut off after {} bytes: the file "
                    "is cut short",
                    path, header.size()),
        header.size());
  if (type != kKnownType || version != kKnownVersion)
    throw FormatError(fmt::format("{}: a flattened stream of type {} and version {}; known is only type {}, "
                                  "version {}: the file is damaged",
                                  path, type, version, kKnownType, kKnownVersion),
                      kSignature.size());
}

FlattenedRecord parse_flattened_record(std::span<const std::byte> head) {
  Cursor in{head, ByteOrder::big};
  const uint64_t start = in.u64();
  const uint64_t size = in.u64();
  using Kind = FlattenedRecord::Kind;
  if (!in.ok()) return {};
  if (start == kEnd) return {Kind::end, 0, 0};
  if (start > kMostOffset || size > kMostOffset - start) return {};
  return {Kind::bytes, start, size};
}

Unflattened unflatten(File file) {
  std::array<std::byte, 32> head{};
  check_flattened_header(std::span(head).first(file.read_at(0, head)), file.path());
  Records records = read_records(file);
  if (records.pieces.empty())
    throw FormatError(
        fmt::format("{}: a flattened stream without a record: the file is cut short", file.path()),
        kFlattenedHeaderSize);
  auto pieces = std::make_shared<const FilePieces>(arrange(std::move(records.pieces)));
  return {std::move(file).rearranged(std::move(pieces)), std::move(records.warnings)};
}

}  // namespace kvista::image
