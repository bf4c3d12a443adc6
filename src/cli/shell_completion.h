// What can stand at a place of a line of the shell.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kvista::cli {

/// Who knows the names. Each returns those that begin with `prefix`.
struct CompletionSource {
  using Find = std::function<std::vector<std::string>(const std::string& prefix)>;
  Find commands;  ///< aliases and the shell's own, too
  Find symbols;
  Find types;
  Find files;
  /// A command's options and what its operands can be.
  std::function<std::vector<std::string>(const std::string& command, const std::string& prefix)> options;
  /// The members of a type ("task_struct.se"), or of an expression's value ("init_task.mm").
  std::function<std::vector<std::string>(const std::string& of, bool is_type)> members;
};

struct Completion {
  size_t start = 0;  ///< of what is completed, in the line
  std::vector<std::string>
      candidates;        ///< in order, each once; each takes the place of start up to the cursor
  bool is_whole = true;  ///< a blank can follow; false for what goes on with a member
};

/// The candidates at `cursor`, which is at most the line's length.
Completion complete(std::string_view line, size_t cursor, const CompletionSource& source);
/// What all of them begin with.
std::string common_start(const std::vector<std::string>& candidates);

}  // namespace kvista::cli
