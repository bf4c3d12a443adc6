// Help that is made from the descriptions of the commands: the manual page, and completion for shells.
#pragma once

#include <string>

namespace kvista::cli {

/// The manual page kvista(1), in the man(7) language.
std::string manual_page();
/// A script that makes bash complete kvista's command line.
std::string bash_completion();

}  // namespace kvista::cli
