// What was checked in an image's own tables, and what came of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvista::image {

/// One part of a file that was checked against the others.
struct Check {
  std::string path;
  std::string what;   ///< "bitmaps", "notes" ...
  bool good = true;   ///< nothing contradicts it
  std::string found;  ///< a clause: what is there, or what is wrong with it
};

/// What an image says of itself to who checks it.
struct SelfCheck {
  unsigned page_shift = 0;  ///< of the pages that it holds or lacks
  std::vector<Check> checks;
};

}  // namespace kvista::image
