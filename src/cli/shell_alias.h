// The shell's aliases: short names of commands.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cli/shell_line.h"

namespace kvista::cli {

class Aliases {
 public:
  /// Those that crash's users know.
  Aliases();

  /// `alias`, and what was said by it: all of them, one, or nothing after a new one.
  /// Throws UsageError, also for a text that is no statement.
  std::string define(const std::vector<std::string>& words);
  /// `unalias NAME ...`. Throws UsageError for what is none.
  void remove(const std::vector<std::string>& words);
  /// What a statement means whose first word is an alias; else itself.
  std::vector<Statement> expand(const Statement& statement) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, std::string, std::less<>> texts_;
};

}  // namespace kvista::cli
