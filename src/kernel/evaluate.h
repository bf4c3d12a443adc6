// What an expression is worth in a kernel.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "kvista/value.h"

namespace kvista::kernel {

class Session;

/// As Kernel::evaluate.
Value evaluate(const Session& session, std::string_view expression);

/// What a name stands for where an expression is used, or nothing: then it is the kernel's.
using NamesInUse = std::function<std::optional<Value>(std::string_view name)>;
/// The same with names of one's own, which are asked first.
Value evaluate(const Session& session, std::string_view expression, const NamesInUse& names);

}  // namespace kvista::kernel
