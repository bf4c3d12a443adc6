// Data that is not to be in a dump: rules become places in memory.
#pragma once

#include <string>

#include "dump/erased_ranges.h"
#include "kernel/session.h"

namespace kvista::dump {

/// Finds what the rules in the file at `path` name. Throws AccessError where it cannot be read, FormatError
/// where a rule makes no sense, and NotFound where one cannot be followed to its end, for whatever reason:
/// the message names the file, the line, and the rule.
Erasure find_erased(const kernel::Session& session, const std::string& path);

}  // namespace kvista::dump
