// From a path to an image: formats are recognised by content, through one table of descriptors.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// A file format: how to recognise it by the file's first bytes, and how to open it.
struct Format {
  const char* name;
  bool (*probe)(std::span<const std::byte> head);
  std::unique_ptr<MemoryImage> (*open)(File file);
};

/// All file formats, in the order in which they are asked.
std::span<const Format> formats();

/// Opens `path`. Throws AccessError, FormatError or Unsupported with one sentence that says what was found.
std::unique_ptr<MemoryImage> open_image(const std::string& path);

/// Opens the files of a split dump, or of raw memory (FILE@BASE each), in any order, as one image; a single
/// path as `open_image` does. Throws as `open_image`, FormatError where the files do not belong together, and
/// UsageError where only some have an address.
std::unique_ptr<MemoryImage> open_image_set(const std::vector<std::string>& paths);

/// The image that is meant where none is named: /proc/vmcore where that exists, else the running kernel.
std::string default_image_path();

}  // namespace kvista::image
