// A line of the shell: text in, statements out. What their words mean it does not know.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvista::cli {

/// One command with what is to become of its output.
struct Statement {
  std::vector<std::string> words;
  std::string host;          ///< "!TEXT": the command is this one of the host's shell, and there are no words
  std::string pipe;          ///< "| TEXT": a command of the host's shell that reads the output
  std::string output;        ///< "> FILE"
  bool is_appended = false;  ///< ">> FILE"
  std::string input;         ///< "< FILE"

  bool is_redirected() const { return !pipe.empty() || !output.empty(); }
};

/// The statements of a line; none of an empty one, or of a comment. Quotes are taken off; within them and in
/// parentheses no character has a meaning; "->" is C's arrow. Throws UsageError for a quote that does not end
/// and a redirection without its file.
std::vector<Statement> split_line(std::string_view line);

}  // namespace kvista::cli
