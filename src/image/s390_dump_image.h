// Stand-alone dumps of s390x: what the dump tools of zipl write to a disk, and zgetdump copies from there.
#pragma once

#include <memory>
#include <span>

#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Whether `head`, the first bytes of a file, begin such a dump, of either kind.
bool looks_like_s390_dump(std::span<const std::byte> head);

/// Opens a stand-alone dump: all memory in one piece, or in segments (the extended format). Reads headers
/// only. Throws FormatError where they make no sense, Unsupported for a volume of several, for compressed
/// segments and for 31-bit machines.
std::unique_ptr<MemoryImage> open_s390_dump(File file);

}  // namespace kvista::image
