// Dumps of AVML, version 2: blocks of memory, each behind a header with its addresses and compressed with
// Snappy.
#pragma once

#include <memory>
#include <span>

#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Whether `head`, the first bytes of a file, begin an AVML dump of version 2 (version 1 is LiME's format).
bool looks_like_avml(std::span<const std::byte> head);

/// Opens an AVML dump, in one pass over the heads of its chunks (64 KiB of memory each). Throws FormatError
/// where not even the first block makes sense.
std::unique_ptr<MemoryImage> open_avml(File file);

}  // namespace kvista::image
