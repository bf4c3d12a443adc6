// Commands in processes of their own, so that what goes wrong in one, or ends it, leaves the shell as it was.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <functional>
#include <string>

#include "cli/shell_line.h"

namespace kvista::cli {

struct JobResult {
  int status = 0;               ///< the exit status; of what a signal ended, that of an error
  bool is_interrupted = false;  ///< Ctrl-C
};

/// Whoever has one must have no threads: they would be missing in the new processes.
class Jobs {
 public:
  /// With `has_terminal` the shell talks to a person: a job gets the terminal while it runs, and Ctrl-C is
  /// for it alone. Else a job's standard input is empty, because the shell's holds further commands.
  explicit Jobs(bool has_terminal);

  /// Calls `work` in a process of its own, whose output goes where `statement` says, and waits for the end.
  JobResult run(const Statement& statement, const std::function<int()>& work) const;
  /// A command of the host's shell.
  JobResult run_host(const std::string& text) const;
  /// Waits; false: Ctrl-C came before that.
  bool pause(unsigned seconds) const;

 private:
  pid_t start(pid_t group, const std::function<int()>& body) const;
  void enter(pid_t group) const;
  void give_terminal_to(pid_t group) const;
  int wait_for(pid_t process, pid_t group) const;

  bool has_terminal_;
  pid_t own_group_ = 0;
  termios modes_ = {};
};

}  // namespace kvista::cli
