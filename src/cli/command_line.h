// A command line as a whole, of the command kvista or of its shell.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace kvista::cli {

/// Runs the command that `given` (without the program's name) say, prints its report or what is wrong, and
/// returns the exit status. `opened` is what the shell has open, or null.
int run_command_line(const std::vector<std::string>& given, const Opened* opened);

}  // namespace kvista::cli
