// What the shell completes with: commands by their descriptions, names by the kernel.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/shell_alias.h"
#include "cli/shell_completion.h"

namespace kvista::cli {

/// A command of kvista, or null.
const Command* find_command(const std::string& name);
/// `own` are the shell's own commands. Session and aliases must live longer.
CompletionSource completion_source(const kernel::Session& session, const Aliases& aliases,
                                   std::vector<std::string> own);

}  // namespace kvista::cli
