// What is to be said of kvista as a whole. Help and the manual page are made from it.
#pragma once

#include <array>
#include <string>

#include "base/error.h"

namespace kvista::cli {

inline constexpr const char* kSummary = "look into a Linux kernel: running, crashed, or saved in a file";
inline constexpr const char* kAbout =
    "kvista looks into a Linux kernel: running, crashed, or saved in a file. It needs no debuginfo.";

struct ExitStatusInfo {
  ExitStatus status;
  const char* meaning;
};
inline constexpr std::array kExitStatuses = {
    ExitStatusInfo{ExitStatus::complete, "complete"},
    ExitStatusInfo{ExitStatus::partial, "partial (what is missing is on standard error)"},
    ExitStatusInfo{ExitStatus::nothing, "nothing could be answered"},
    ExitStatusInfo{ExitStatus::usage, "wrong usage"},
};
/// "Exit status: 0 complete, 1 partial ..., ... ."
std::string exit_status_line();

}  // namespace kvista::cli
