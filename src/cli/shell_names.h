// The names of one kernel, for completion.
#pragma once

#include <string>
#include <vector>

#include "kernel/session.h"

namespace kvista::cli {

/// All of these return nothing where the image does not say, and nothing is thrown.

/// Symbols of the kernel, and of its modules, that begin with `prefix`.
std::vector<std::string> symbols_with(const kernel::Session& session, const std::string& prefix);
/// Structs, unions, enumerations and typedefs of the kernel's BTF that begin with `prefix`.
std::vector<std::string> types_with(const kernel::Session& session, const std::string& prefix);
/// The members of a type, written "task_struct.se", or of what an expression leads to.
std::vector<std::string> members_of(const kernel::Session& session, const std::string& of, bool is_type);
/// Files that begin with `prefix`; folders end with a slash.
std::vector<std::string> files_with(const std::string& prefix);

}  // namespace kvista::cli
