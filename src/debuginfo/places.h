// Where distributions put a kernel's debug information.
#pragma once

#include <string>
#include <vector>

namespace kvista::debuginfo {

/// What a kernel's debug information is known by. Either may be empty.
struct Identity {
  std::string build_id;  ///< in hexadecimal
  std::string release;   ///< uname -r
};

/// The files in which it may be, best first, below `root`. None where nothing is known to look by.
std::vector<std::string> usual_places(const Identity& identity, const std::string& root);

}  // namespace kvista::debuginfo
