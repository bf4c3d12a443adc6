#include "base/error.h"
#include "debuginfo/debug_file.h"

namespace kvista::debuginfo {

const bool kHasDwarf = false;

std::unique_ptr<DebugFile> open_debug_file(const std::string& /*path*/) {
  throw Unsupported(
      "this kvista was built without DWARF, so that it cannot read debuginfo: use the kvista that is linked "
      "with shared libraries, built with -DKVISTA_DWARF=ON");
}

}  // namespace kvista::debuginfo
