// Lines of the kernel's source.
#pragma once

#include <string>

namespace kvista::debuginfo {

/// A place in the kernel's source.
struct SourceLine {
  std::string file;  ///< as its compiler was told, from the top of the source where that is known
  unsigned line = 0;
};

}  // namespace kvista::debuginfo
