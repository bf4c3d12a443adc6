// The running kernel as an image.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// A line of /proc/iomem: a named range of physical addresses; `depth` is its place in the tree.
struct IomemEntry {
  PhysRange range;
  unsigned depth = 0;
  std::string name;
};

/// Parses /proc/iomem. Lines that make no sense are left out; for a user without CAP_SYS_ADMIN all addresses
/// are 0.
std::vector<IomemEntry> parse_iomem(std::string_view text);

/// Opens /proc/kcore, or with `path` a file of the same form. Throws AccessError that says why it cannot
/// be read (no such file, not root, lockdown).
std::unique_ptr<MemoryImage> open_kcore(const std::string& path = "/proc/kcore");

/// Opens /dev/mem, or with `path` a file of the same form, with the RAM that `iomem` lists. Throws
/// AccessError where it cannot be read (STRICT_DEVMEM).
std::unique_ptr<MemoryImage> open_devmem(const std::string& path, std::string_view iomem);

}  // namespace kvista::image
