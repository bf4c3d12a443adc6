// Completion of the command line in bash.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/help.h"

namespace kvista::cli {
namespace {

// Finds the command among the words, and what the table says of the word to complete.
constexpr const char* kBashHead = R"(# bash completion of kvista; printed by: kvista help --completion bash
_kvista() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= words= i
  COMPREPLY=()
  # bash takes --option=value for three words.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -c) ((i++)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command:$previous in
)";
constexpr const char* kBashTail = R"(  esac
  case $words in
    FILES) compopt -o default ;;
    *)
      mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
      [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace
      ;;
  esac
}
complete -F _kvista kvista
)";
constexpr const char* kFiles = "FILES";

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// What can stand where a value of this name is wanted.
std::string completion_of(const std::string& value_name, const std::vector<std::string>& choices) {
  if (!choices.empty()) return join(choices);
  return value_name == "FILE" || value_name == "IMAGE" ? kFiles : "";
}

std::string line(const std::string& pattern, const std::string& words) {
  return fmt::format("    {}) words='{}' ;;\n", pattern, words);
}

std::vector<std::string> names_of(const Command& command) {
  std::vector<std::string> names;
  for (const OptionSpec& option : command.options) names.push_back(option.name);
  if (command.run)
    for (const OptionSpec& option : output_options()) names.push_back(option.name);
  names.emplace_back("--help");
  return names;
}

std::string lines_of(const Command& command) {
  std::string lines;
  for (const OptionSpec& option : command.options) {
    if (!option.takes_value()) continue;
    std::string pattern = fmt::format("{}:{}", command.name, option.name);
    if (option.letter != 0) pattern += fmt::format("|{}:-{}", command.name, option.letter);
    lines += line(pattern, completion_of(option.value_name, option.choices));
  }
  const std::string operand =
      command.operands.empty() ? "" : completion_of(command.operands[0].name, command.operands[0].choices);
  // A word that begins as an option does is one.
  lines += fmt::format("    {}:*) [[ $current == -* ]] && words='{}' || words='{}' ;;\n", command.name,
                       join(names_of(command)), operand);
  return lines;
}

}  // namespace

std::string bash_completion() {
  std::string script = kBashHead;
  std::vector<std::string> first;
  script += line(":" + image_option().name, kFiles);
  for (const auto& group : {commands(), own_commands()}) {
    for (const Command& command : group) {
      script += lines_of(command);
      first.push_back(command.name);
    }
  }
  first.push_back(image_option().name);
  first.emplace_back("--help");
  first.emplace_back("--version");
  script += line(":*", join(first));
  return script + kBashTail;
}

}  // namespace kvista::cli
