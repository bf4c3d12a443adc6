#include "cli/shell.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "base/error.h"
#include "cli/command_line.h"
#include "cli/refused.h"
#include "cli/shell_alias.h"
#include "cli/shell_builtin.h"
#include "cli/shell_completion.h"
#include "cli/shell_editor.h"
#include "cli/shell_job.h"
#include "cli/shell_line.h"
#include "cli/shell_set.h"
#include "cli/shell_source.h"

namespace kvista::cli {
namespace {

constexpr const char* kPrompt = "kvista> ";
constexpr const char* kStartFile = ".kvistarc";
constexpr const char* kHistoryFile = ".kvista_history";

using Words = std::vector<std::string>;

std::string in_home(const char* name) {
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == 0 ? "" : fmt::format("{}/{}", home, name);
}

// A statement's status, and whether what follows it on its line is to be left out.
using Done = JobResult;

class Shell {
 public:
  Shell(const Invocation& invocation, bool has_person) : invocation_(invocation), has_person_(has_person) {
    session_ = open_session(invocation);
    opened_.session = session_.get();
    opened_.images = invocation.images;
    for (const OptionSpec& option : machine_options())
      if (const auto given = invocation.options.find(option.name); given != invocation.options.end())
        opened_.options.insert(*given);
  }

  int run() {
    // What comes with it is looked up in this process, and every job then has it.
    if (!invocation_.flag("-s")) run_command_line({"sys"}, &opened_);
    opened_.said = session_->warnings();
    jobs_ = std::make_unique<Jobs>(has_person_);
    if (const std::string file = in_home(kStartFile); !file.empty() && access(file.c_str(), F_OK) == 0)
      guarded([&] { return run_script(file); });
    for (const std::string& script : invocation_.values("-i")) {
      if (is_over_) break;
      guarded([&] { return run_script(script); });
    }
    if (has_person_)
      run_edited();
    else
      run_lines(std::cin);
    return has_person_ ? 0 : worst_;
  }

 private:
  void run_edited() {
    if (is_over_) return;
    if (const char* why = why_no_editing(); *why != 0) fmt::print(stderr, "kvista: {}\n", why);
    std::vector<std::string> own;
    own.reserve(kBuiltIns.size());
    for (const BuiltIn& one : kBuiltIns) own.emplace_back(one.name);
    const CompletionSource source = completion_source(*session_, aliases_, own);
    Editor editor(kPrompt, in_home(kHistoryFile),
                  [&](std::string_view line, size_t cursor) { return complete(line, cursor, source); });
    while (!is_over_) {
      jobs_->pause(0);  // what Ctrl-C came for is over
      const auto line = editor.read_line();
      if (!line) break;
      run_line(*line);
    }
  }

  // False: it was interrupted.
  bool run_lines(std::istream& lines) {
    std::string line;
    while (!is_over_ && std::getline(lines, line))
      if (!run_line(line)) return false;
    return true;
  }

  Done run_script(const std::string& path) {
    constexpr unsigned kMostScripts = 16;
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored))
      throw AccessError(fmt::format("{}: is a directory", path));
    std::ifstream file(path);
    if (!file) throw AccessError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
    if (depth_ >= kMostScripts)
      throw UsageError(fmt::format("{}: more than {} scripts, one within the other", path, kMostScripts));
    ++depth_;
    const bool is_complete = run_lines(file);
    --depth_;
    return {0, !is_complete};
  }

  // Errors end a statement and not the shell.
  template <typename Work>
  Done guarded(Work work) {
    Done done;
    try {
      done = work();
    } catch (const Error& error) {
      fmt::print(stderr, "kvista: {}\n", error.what());
      done.status = static_cast<int>(error.exit_status());
    } catch (const std::exception& error) {
      fmt::print(stderr, "kvista: {}\n", error.what());
      done.status = static_cast<int>(ExitStatus::nothing);
    }
    std::fflush(stdout);
    worst_ = std::max(worst_, done.status);
    return done;
  }

  // False: it was interrupted.
  bool run_line(const std::string& line) {
    const Done done = guarded([&]() -> Done {
      for (const Statement& statement : split_line(line))
        for (const Statement& meant : aliases_.expand(statement)) {
          if (is_over_) return {};
          if (guarded([&] { return run_statement(meant); }).is_interrupted || !jobs_->pause(0))
            return {0, true};
        }
      return {};
    });
    return !done.is_interrupted;
  }

  Done run_statement(const Statement& statement) {
    if (!statement.host.empty()) return jobs_->run_host(statement.host);
    if (statement.words.empty()) {
      if (statement.is_redirected()) throw UsageError("<: a script's output goes where its commands say");
      return run_script(statement.input);
    }
    if (!statement.input.empty()) return run_with_lines(statement);
    const std::string& name = statement.words.front();
    for (const BuiltIn& one : kBuiltIns)
      if (name == one.name) return (this->*one.run)(statement);
    if (const char* why = why_refused(name)) throw Unsupported(fmt::format("{}: {}", name, why));
    if (name == "shell") throw UsageError("shell: this is one already");
    if (find_command(name) != nullptr)
      return jobs_->run(statement, [&] { return run_command_line(statement.words, &opened_); });
    return jobs_->run(statement, [&] { return run_type(statement.words, opened_); });
  }

  // "COMMAND < FILE": once with the words of each line.
  Done run_with_lines(Statement statement) {
    std::ifstream file(statement.input);
    if (!file)
      throw AccessError(fmt::format("{}: cannot be read: {}", statement.input, std::strerror(errno)));
    statement.input.clear();
    std::string line;
    while (std::getline(file, line))
      for (const Statement& added : split_line(line)) {
        Statement one = statement;
        one.words.insert(one.words.end(), added.words.begin(), added.words.end());
        if (guarded([&] { return run_statement(one); }).is_interrupted) return {0, true};
        if (!statement.output.empty()) statement.is_appended = true;
      }
    return {};
  }

  // --- what is done in the shell itself ---

  struct BuiltIn {
    const char* name;
    const char* usage;
    const char* summary;
    Done (Shell::*run)(const Statement&);
  };
  static const std::array<BuiltIn, 6> kBuiltIns;

  Done say(const Statement& statement, const std::string& text) const {
    if (statement.is_redirected())
      return jobs_->run(statement, [&] {
        fmt::print("{}", text);
        return 0;
      });
    fmt::print("{}", text);
    return {};
  }

  Done alias(const Statement& statement) { return say(statement, aliases_.define(statement.words)); }

  Done unalias(const Statement& statement) {
    aliases_.remove(statement.words);
    return {};
  }

  Done quit(const Statement& /*statement*/) {
    is_over_ = true;
    return {};
  }

  Done set(const Statement& statement) {
    if (sets_variable(statement.words))
      return say(statement, set_variable(statement.words, opened_, others_));
    SharedAddress found;
    const Done done = jobs_->run(statement, [&] {
      const Value task = task_of_set(statement.words, opened_);
      fmt::print("{}", describe_task(task, *session_));
      found.value() = task.address()->value;
      return 0;
    });
    if (done.status == 0 && found.value() != 0 && statement.words.size() > 1)
      opened_.task = VirtAddr{found.value()};
    return done;
  }

  Done repeat(const Statement& statement) {
    Repeat wanted = repeat_of(statement);
    Statement& one = wanted.statement;
    for (unsigned done = 0; wanted.times == 0 || done < wanted.times; ++done) {
      if (done > 0 && !jobs_->pause(wanted.seconds)) return {0, true};
      for (const Statement& meant : aliases_.expand(one)) {
        if (guarded([&] { return run_statement(meant); }).is_interrupted) return {0, true};
        if (is_over_) return {};
      }
      if (!one.output.empty()) one.is_appended = true;
    }
    return {};
  }

  Done help(const Statement& statement) {
    const Words& words = statement.words;
    if (words.size() == 1) {
      std::string own;
      for (const BuiltIn& one : kBuiltIns) own += fmt::format("  {:<12} {}\n", one.name, one.summary);
      return say(statement, list_of_commands(own));
    }
    for (const BuiltIn& one : kBuiltIns)
      if (words[1] == one.name) return say(statement, fmt::format("{}\n  {}\n", one.usage, one.summary));
    return jobs_->run(statement, [&] { return run_command_line(words, &opened_); });
  }

  const Invocation& invocation_;
  bool has_person_;
  std::unique_ptr<kernel::Session> session_;
  Opened opened_;
  std::unique_ptr<Jobs> jobs_;
  Aliases aliases_;
  std::map<std::string, std::string> others_;  // variables without effect
  unsigned depth_ = 0;                         // of scripts
  int worst_ = 0;
  bool is_over_ = false;
};

const std::array<Shell::BuiltIn, 6> Shell::kBuiltIns = {{
    {"alias", "alias [NAME [COMMAND ...]]", "define a short name, show one, or show all", &Shell::alias},
    {"help", "help [COMMAND]", "list the commands, or say how one is used", &Shell::help},
    {"q", "q, quit, exit", "end the shell", &Shell::quit},
    {"repeat", "repeat [-SECONDS] [-n TIMES] COMMAND", "run a command again and again, until Ctrl-C",
     &Shell::repeat},
    {"set", "set [PID | TASK | -c CPU | -p | -v | VARIABLE [VALUE]]",
     "choose the task that bt and task are about, or show it; variables as crash has them", &Shell::set},
    {"unalias", "unalias NAME ...", "forget short names", &Shell::unalias},
}};

}  // namespace

bool is_for_shell(const Words& words) {
  if (words.empty()) return false;
  const std::string& first = words.front();
  if (first == "-i" || first == "-s") return true;
  std::error_code ignored;
  return !first.starts_with('-') && find_command(first) == nullptr &&
         std::filesystem::exists(first, ignored) && !std::filesystem::is_directory(first, ignored);
}

int run_shell(const Invocation& given) {
  Invocation invocation = given;
  invocation.images =
      image_paths(given, given.operands.empty() ? std::nullopt : std::optional(given.operands.front()));
  const bool has_person = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  return Shell(invocation, has_person).run();
}

}  // namespace kvista::cli
