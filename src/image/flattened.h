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
