// Raw physical memory: files without a header, of which the user says where in memory they begin.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "image/memory_image.h"

namespace kvista::image {

/// A file that holds memory from `base` on.
struct RawPiece {
  std::string path;
  PhysAddr base;
};

/// FILE@BASE taken apart, BASE decimal or hexadecimal with 0x; nothing where `text` has not that form.
std::optional<RawPiece> parse_raw_piece(std::string_view text);

/// Opens files of raw memory as one image. Throws AccessError or FormatError that names the file.
std::unique_ptr<MemoryImage> open_raw_set(const std::vector<RawPiece>& pieces);

}  // namespace kvista::image
