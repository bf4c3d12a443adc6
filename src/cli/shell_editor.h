// Lines from a person at a terminal, edited as they are typed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/shell_completion.h"

namespace kvista::cli {

class Editor {
 public:
  using Complete = std::function<Completion(std::string_view line, size_t cursor)>;
  /// The history is kept in `history_file`; empty: nowhere.
  Editor(const std::string& prompt, const std::string& history_file, const Complete& complete);
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;
  ~Editor();

  /// The next line; nothing at the end (Ctrl-D). After Ctrl-C it is empty.
  std::optional<std::string> read_line();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Why lines cannot be edited, in one sentence; empty where they can.
const char* why_no_editing();

}  // namespace kvista::cli
