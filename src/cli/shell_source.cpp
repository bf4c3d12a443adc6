#include "cli/shell_source.h"

#include <utility>

#include "cli/shell_names.h"

namespace kvista::cli {
namespace {

using Words = std::vector<std::string>;

Words with_prefix(Words names, const std::string& prefix) {
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(prefix); });
  return names;
}

Words all_commands(const Aliases& aliases, const Words& own) {
  Words names = aliases.names();
  for (const Command& command : commands()) names.push_back(command.name);
  names.insert(names.end(), own.begin(), own.end());
  return names;
}

// Its options where one is begun, and what its operands can be.
Words words_of(const std::string& name, const std::string& prefix) {
  Words names;
  const Command* command = find_command(name);
  if (command == nullptr) return names;
  if (prefix.starts_with('-')) {
    for (const OptionSpec& option : command->options) names.push_back(option.name);
    for (const OptionSpec& option : output_options()) names.push_back(option.name);
  }
  for (const OperandSpec& operand : command->operands)
    names.insert(names.end(), operand.choices.begin(), operand.choices.end());
  return with_prefix(std::move(names), prefix);
}

}  // namespace

const Command* find_command(const std::string& name) {
  for (const auto& group : {commands(), own_commands()})
    for (const Command& command : group)
      if (command.name == name) return &command;
  return nullptr;
}

CompletionSource completion_source(const kernel::Session& session, const Aliases& aliases, Words own) {
  CompletionSource source;
  source.commands = [&aliases, own = std::move(own)](const std::string& prefix) {
    return with_prefix(all_commands(aliases, own), prefix);
  };
  source.symbols = [&session](const std::string& prefix) { return symbols_with(session, prefix); };
  source.types = [&session](const std::string& prefix) { return types_with(session, prefix); };
  source.files = files_with;
  source.options = words_of;
  source.members = [&session](const std::string& of, bool is_type) {
    return members_of(session, of, is_type);
  };
  return source;
}

}  // namespace kvista::cli
