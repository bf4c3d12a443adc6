// Flattened dumps: a file written to a pipe, as records that say where in the file their bytes belong.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace kvista::image {

/// Whether `head`, the first bytes of a file, begin a flattened stream (makedumpfile -F, QEMU's kdump
/// formats).
bool looks_flattened(std::span<const std::byte> head);

inline constexpr size_t kFlattenedHeaderSize = 4096;
inline constexpr size_t kFlattenedRecordSize = 16;
/// A hole between records that is smaller than this, and ends with a block, is filled up with zeros.
inline constexpr uint64_t kFlattenedPadding = 65536;

/// Throws FormatError where `header`, the first kFlattenedHeaderSize bytes of the stream `path` as far as
/// they are there, is cut or of an unknown type or version.
void check_flattened_header(std::span<const std::byte> header, const std::string& path);

/// What stands before the bytes of a record.
struct FlattenedRecord {
  enum class Kind : uint8_t { bytes, end, damaged };
  Kind kind = Kind::damaged;
  uint64_t start = 0;  ///< where in the file its bytes belong
  uint64_t size = 0;
};
/// The record whose first kFlattenedRecordSize bytes are `head`.
FlattenedRecord parse_flattened_record(std::span<const std::byte> head);

/// The file that a stream holds, and what is odd about the stream.
struct Unflattened {
  File file;
  std::vector<std::string> warnings;
};

/// The file that the flattened stream `file` holds, read in place: only the records' headers are looked at,
/// and a record costs the memory of one piece, at most two where records overwrite each other. Throws
/// FormatError where there is no record.
Unflattened unflatten(File file);

}  // namespace kvista::image
