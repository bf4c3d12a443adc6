// Asking the servers of debuginfod for a kernel's debug information.
#pragma once

#include <string>

namespace kvista::debuginfo {

/// The path of the file that elfutils' debuginfod-find fetches, or has fetched before, for a build-id (in
/// hexadecimal) from the servers that the environment's DEBUGINFOD_URLS names. It is another program, so that
/// kvista need not link what speaks to servers. Throws NotFound, with a sentence, where there is no such
/// program, no server, or none has the file.
std::string ask_debuginfod(const std::string& build_id);

}  // namespace kvista::debuginfo
