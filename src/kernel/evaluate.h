// What an expression is worth in a kernel.
#pragma once

#include <string_view>

#include "kvista/value.h"

namespace kvista::kernel {

class Session;

/// As Kernel::evaluate.
Value evaluate(const Session& session, std::string_view expression);

}  // namespace kvista::kernel
