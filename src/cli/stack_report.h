// Stacks as rows: what bt and foreach bt show.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/report.h"
#include "cli/stack_tables.h"
#include "kernel/session.h"
#include "kernel/tasks.h"
#include "unwind/task_stacks.h"

namespace kvista::cli {

/// What to show of each stack.
struct StackStyle {
  bool with_words = false;  ///< -f: what is on the stack, frame by frame
  bool with_lines = false;  ///< -l: source lines
  bool raw = false;         ///< -r: all of the stack, and nothing else
  bool unique = false;      ///< --unique: a stack that several tasks have only once
};

/// The options that say so.
std::vector<OptionSpec> stack_options();
/// What they say. Throws UsageError, also for -l without debuginfo.
StackStyle stack_style(const Invocation& invocation, const kernel::Session& session);

/// Makes the report of one command.
class StackReport {
 public:
  StackReport(const kernel::Session& session, std::string command, StackStyle style);

  unwind::TaskStacks& stacks() { return stacks_; }
  kernel::TaskReader& tasks() { return tasks_; }
  void add(const kernel::Task& task);
  /// The report, with what is missing.
  Report finish();

 private:
  struct Shown {
    kernel::Task task;
    unwind::TaskStack stack;
    std::vector<kernel::Task> others;  // that have the same stack
  };
  const std::optional<symbol::NearSymbol>& symbol_at(VirtAddr address);
  std::string function_text(VirtAddr address);
  std::string word_text(uint64_t value);
  void count_damage(const Shown& one);
  void show(const Shown& one);
  void add_line(const std::string& text);
  void add_head(const Shown& one);
  void add_stack_row(const Shown& one);
  void add_frame(const Shown& one, size_t index);
  void add_lines(const Shown& one, size_t index, const debuginfo::SourceLine& source);
  void add_registers(const Shown& one, std::optional<size_t> frame, const arch::Registers& registers);
  void add_words(const Shown& one, size_t index);
  void add_raw(const Shown& one);
  void add_word_lines(const Shown& one, std::optional<size_t> frame, VirtAddr first, VirtAddr end);
  Table& table(size_t index) { return report_.tables.at(index); }

  const kernel::Session& session_;
  StackStyle style_;
  kernel::TaskReader tasks_;
  unwind::TaskStacks stacks_;
  const RegisterView& registers_;
  Report report_;
  std::vector<Shown> shown_;                       // with --unique: until all are known
  std::map<std::vector<uint64_t>, size_t> known_;  // with --unique: by the addresses of the frames
  std::map<uint64_t, std::optional<symbol::NearSymbol>> symbols_;
  size_t damaged_ = 0;
  std::string first_damage_;
};

}  // namespace kvista::cli
