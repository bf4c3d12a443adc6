// What the commands of the shell itself need, as far as it takes no shell.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/shell_line.h"

namespace kvista::cli {

/// What a job found that the shell is to keep: both see this memory.
class SharedAddress {
 public:
  /// Throws Error where no memory can be shared.
  SharedAddress();
  SharedAddress(const SharedAddress&) = delete;
  SharedAddress& operator=(const SharedAddress&) = delete;
  ~SharedAddress();
  uint64_t& value() { return *static_cast<uint64_t*>(at_); }

 private:
  void* at_;
};

/// crash takes a type's name for a command: "task_struct.pid ADDRESS", "*task_struct ADDRESS". Returns the
/// exit status. Throws UsageError where there is no type of that name.
int run_type(std::vector<std::string> words, const Opened& opened);

/// "repeat [-SECONDS] [-n TIMES] COMMAND".
struct Repeat {
  Statement statement;   ///< what to repeat
  unsigned seconds = 0;  ///< between two times
  unsigned times = 0;    ///< 0: without end
};
/// Throws UsageError.
Repeat repeat_of(const Statement& statement);

/// What `help` prints; `own` is the part about what the shell does by itself.
std::string list_of_commands(const std::string& own);

}  // namespace kvista::cli
