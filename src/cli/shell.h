// kvista shell: one image, many commands.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace kvista::cli {

/// Whether a command line names an image or a script where the command should be: `kvista vmcore`.
bool is_for_shell(const std::vector<std::string>& words);
/// Runs the commands of start file, scripts and standard input. Returns 0 after a person's; after others what
/// the worst of the commands returned. Throws what cannot be opened.
int run_shell(const Invocation& given);

}  // namespace kvista::cli
