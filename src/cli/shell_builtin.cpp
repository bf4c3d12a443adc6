#include "cli/shell_builtin.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "cli/command_line.h"

namespace kvista::cli {
namespace {

bool has_type(const kernel::Session& session, const std::string& name, type::Kind kind) try {
  return !session.types().find(name, kind).empty();
} catch (const Error&) {
  return false;
}

}  // namespace

SharedAddress::SharedAddress()
    : at_(mmap(nullptr, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
  if (at_ == MAP_FAILED) throw Error(fmt::format("no memory can be shared: {}", std::strerror(errno)));
}

SharedAddress::~SharedAddress() {
  munmap(at_, sizeof(uint64_t));
}

int run_type(std::vector<std::string> words, const Opened& opened) {
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
    if (type.empty() || !has_type(*opened.session, type, kind)) continue;
    words.insert(words.begin(), command);
    return run_command_line(words, &opened);
  }
  throw UsageError(fmt::format("{}: there is no such command, and no type of this name (help)", given));
}

Repeat repeat_of(const Statement& statement) {
  constexpr unsigned kMostSeconds = 1000000;
  Repeat repeat{statement};
  std::vector<std::string>& words = repeat.statement.words;
  words.erase(words.begin());
  while (!words.empty() && words.front().starts_with('-')) {
    const bool is_times = words.front() == "-n" && words.size() > 1;
    Invocation number;
    number.options["repeat"] = {is_times ? words[1] : words.front().substr(1)};
    (is_times ? repeat.times : repeat.seconds) =
        number_option(number, "repeat", is_times ? 1 : 0, kMostSeconds, 0);
    words.erase(words.begin(), words.begin() + (is_times ? 2 : 1));
  }
  if (words.empty()) throw UsageError("repeat: a command is needed");
  return repeat;
}

std::string list_of_commands(const std::string& own) {
  std::string text;
  for (const Command& command : commands())
    text += fmt::format("  {:<12} {}\n", command.name, command.summary);
  return text + "\nIn the shell itself:\n" + own +
         "\nCOMMAND | less, COMMAND > FILE, COMMAND >> FILE; < SCRIPT; COMMAND < FILE: with the words of "
         "each\n"
         "line; several with ; between them; !COMMAND is the host's; # begins a comment. help COMMAND "
         "says\n"
         "how it is used.\n";
}

}  // namespace kvista::cli
