// Kdump-compressed files as memory: dumps of makedumpfile, of QEMU and of libvirt, whole or split over files.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "image/consistency.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Opens one file; of a split dump its part, with a warning. Throws FormatError or Unsupported.
std::unique_ptr<MemoryImage> open_kdump(File file);

/// Opens all parts of a split dump, in any order. Throws FormatError where they do not belong together.
std::unique_ptr<MemoryImage> open_kdump_set(std::vector<File> files);

/// What comes of checking the tables of each file of `image` against each other (check_kdump); nothing where
/// it is of another format.
std::optional<SelfCheck> check_kdump_image(const MemoryImage& image);

}  // namespace kvista::image
