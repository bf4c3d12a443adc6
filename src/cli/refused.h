// Commands of crash that kvista does not have, and what to use instead.
#pragma once

#include <string_view>

namespace kvista::cli {

/// A sentence for the user; null for any name that is none of these.
const char* why_refused(std::string_view command);

}  // namespace kvista::cli
