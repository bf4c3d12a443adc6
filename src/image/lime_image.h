// LiME dumps: each range of memory behind a header with its addresses.
#pragma once

#include <memory>
#include <span>

#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Whether `head`, the first bytes of a file, begin a LiME dump.
bool looks_like_lime(std::span<const std::byte> head);

/// Opens a LiME dump (also AVML's of version 1). Reads the ranges' headers only. Throws FormatError
/// where not even the first one makes sense.
std::unique_ptr<MemoryImage> open_lime(File file);

}  // namespace kvista::image
