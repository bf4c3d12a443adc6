// Takes the place of shell_editor.cpp where kvista is built without libedit: the terminal's own line editing.
#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <utility>

#include "cli/shell_editor.h"

namespace kvista::cli {

class Editor::Impl {
 public:
  explicit Impl(std::string text) : prompt(std::move(text)) {}
  std::string prompt;
};

Editor::Editor(const std::string& prompt, const std::string& /*history_file*/, const Complete& /*complete*/)
    : impl_(std::make_unique<Impl>(prompt)) {}
Editor::~Editor() = default;

std::optional<std::string> Editor::read_line() {
  fmt::print("{}", impl_->prompt);
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return line;
}

const char* why_no_editing() {
  return "this kvista was built without libedit: lines have no history and no completion";
}

}  // namespace kvista::cli
