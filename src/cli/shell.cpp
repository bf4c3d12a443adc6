#include "cli/shell.h"

#include <fmt/format.h>
#include <sys/mman.h>
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

// What a job found that the shell is to keep: both see this memory.
class SharedAddress {
 public:
  SharedAddress()
      : at_(mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (at_ == MAP_FAILED) throw Error(fmt::format("no memory can be shared: {}", std::strerror(errno)));
  }
  SharedAddress(const SharedAddress&) = delete;
  SharedAddress& operator=(const SharedAddress&) = delete;
  ~SharedAddress() { munmap(at_, sizeof(uint64_t)); }
  uint64_t& value() { return *static_cast<uint64_t*>(at_); }

 private:
  void* at_;
};

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
    return jobs_->run(statement, [&] { return run_type(statement.words); });
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

  // crash takes a type's name for a command: "task_struct.pid ADDRESS", "*task_struct ADDRESS".
  int run_type(Words words) const {
    std::string& name = words.front();
    const std::string given = name;
    if (name.starts_with('*')) name.erase(0, 1);
    const std::string type = name.substr(0, name.find_first_of(".,["));
    constexpr std::array<std::pair<type::Kind, const char*>, 4> kBy = {
        {{type::Kind::structure, "struct"},
         {type::Kind::union_type, "union"},
         {type::Kind::enumeration, "enum"},
         {type::Kind::type_definition, "whatis"}}};
    for (const auto& [kind, command] : kBy) {
      if (type.empty() || !has_type(type, kind)) continue;
      words.insert(words.begin(), command);
      return run_command_line(words, &opened_);
    }
    throw UsageError(fmt::format("{}: there is no such command, and no type of this name (help)", given));
  }

  bool has_type(const std::string& name, type::Kind kind) const try {
    return !session_->types().find(name, kind).empty();
  } catch (const Error&) {
    return false;
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

  // "repeat [-SECONDS] [-n TIMES] COMMAND"
  Done repeat(const Statement& statement) {
    constexpr unsigned kMostSeconds = 1000000;
    Statement one = statement;
    unsigned seconds = 0;
    unsigned times = 0;
    one.words.erase(one.words.begin());
    while (!one.words.empty() && one.words.front().starts_with('-')) {
      const bool is_times = one.words.front() == "-n" && one.words.size() > 1;
      Invocation number;
      number.options["repeat"] = {is_times ? one.words[1] : one.words.front().substr(1)};
      (is_times ? times : seconds) = number_option(number, "repeat", is_times ? 1 : 0, kMostSeconds, 0);
      one.words.erase(one.words.begin(), one.words.begin() + (is_times ? 2 : 1));
    }
    if (one.words.empty()) throw UsageError("repeat: a command is needed");
    for (unsigned done = 0; times == 0 || done < times; ++done) {
      if (done > 0 && !jobs_->pause(seconds)) return {0, true};
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
    if (words.size() == 1) return say(statement, list_of_commands());
    for (const BuiltIn& one : kBuiltIns)
      if (words[1] == one.name) return say(statement, fmt::format("{}\n  {}\n", one.usage, one.summary));
    return jobs_->run(statement, [&] { return run_command_line(words, &opened_); });
  }

  static std::string list_of_commands() {
    std::string text;
    for (const Command& command : commands())
      text += fmt::format("  {:<12} {}\n", command.name, command.summary);
    text += "\nIn the shell itself:\n";
    for (const BuiltIn& one : kBuiltIns) text += fmt::format("  {:<12} {}\n", one.name, one.summary);
    return text +
           "\nCOMMAND | less, COMMAND > FILE, COMMAND >> FILE; < SCRIPT; COMMAND < FILE: with the words of "
           "each\n"
           "line; several with ; between them; !COMMAND is the host's; # begins a comment. help COMMAND "
           "says\n"
           "how it is used.\n";
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
