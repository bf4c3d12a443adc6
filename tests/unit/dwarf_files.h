// Files with debug information, compiled by the test from tests/unit/dwarf/.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "tests/images/temporary.h"

namespace kvista::test {

inline const std::string kDwarfSources = KVISTA_DWARF_SOURCES;  // where types.c is, with a / behind it

/// Runs a command of a shell; throws where it fails.
inline void run_command(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

/// types.c and other.c, linked as a kernel is: alone, at fixed addresses. Returns the file's path.
inline std::string compile_types(const TemporaryDirectory& directory, const std::string& flags,
                                 const std::string& name = "vmlinux") {
  const std::string path = directory.file(name);
  run_command(fmt::format(
      "gcc -std=gnu11 -no-pie -nostdlib -Wl,-e,add -Wl,--build-id=sha1 {} {}types.c {}other.c -o {}", flags,
      kDwarfSources, kDwarfSources, path));
  return path;
}

}  // namespace kvista::test
