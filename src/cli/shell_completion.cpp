#include "cli/shell_completion.h"

#include <algorithm>
#include <array>

namespace kvista::cli {
namespace {

enum class Wants { options, expression, type, type_or_symbol, task_member, command };
struct CommandWants {
  const char* command;
  Wants wants;
};
// What a command's operands are, where completion can help. After any command that is not here: its options.
constexpr std::array kCommands = {CommandWants{"p", Wants::expression},
                                  CommandWants{"px", Wants::expression},
                                  CommandWants{"pd", Wants::expression},
                                  CommandWants{"print", Wants::expression},
                                  CommandWants{"p/x", Wants::expression},
                                  CommandWants{"rd", Wants::expression},
                                  CommandWants{"list", Wants::expression},
                                  CommandWants{"tree", Wants::expression},
                                  CommandWants{"vtop", Wants::expression},
                                  CommandWants{"sym", Wants::expression},
                                  CommandWants{"dis", Wants::expression},
                                  CommandWants{"struct", Wants::type},
                                  CommandWants{"union", Wants::type},
                                  CommandWants{"enum", Wants::type},
                                  CommandWants{"whatis", Wants::type_or_symbol},
                                  CommandWants{"task", Wants::task_member},
                                  CommandWants{"help", Wants::command},
                                  CommandWants{"man", Wants::command},
                                  CommandWants{"repeat", Wants::command},
                                  CommandWants{"alias", Wants::command},
                                  CommandWants{"foreach", Wants::command}};

constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

// Where the statement begins that the cursor is in.
size_t start_of_statement(std::string_view before) {
  char quote = 0;
  size_t start = 0;
  for (size_t at = 0; at < before.size(); ++at) {
    const char c = before[at];
    if (quote != 0)
      quote = c == quote ? 0 : quote;
    else if (c == '\'' || c == '"')
      quote = c;
    else if (c == ';')
      start = at + 1;
  }
  return start;
}

size_t start_of_word(std::string_view before) {
  const size_t space = before.find_last_of(" \t|<>;");
  size_t start = space == std::string_view::npos ? 0 : space + 1;
  // "->" is C's arrow.
  while (start >= 2 && before[start - 1] == '>' && before[start - 2] == '-') {
    const size_t earlier = before.find_last_of(" \t|<>;", start - 2);
    start = earlier == std::string_view::npos ? 0 : earlier + 1;
  }
  return start;
}

struct Place {
  std::string_view before;  // the line up to the cursor
  size_t word = 0;          // where its last word begins
  const CompletionSource& source;

  std::string text() const { return std::string(before.substr(word)); }
};

std::vector<std::string> with_prefix(std::vector<std::string> names, const std::string& prefix) {
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(prefix); });
  return names;
}

// The last name of an expression; what stands before it with a dot or an arrow has it as a member.
Completion expression(const Place& place, bool with_types) {
  const std::string text = place.text();
  const size_t other = text.find_last_not_of(kNameCharacters);
  const size_t name = other == std::string::npos ? 0 : other + 1;
  const std::string prefix = text.substr(name);
  Completion found{place.word + name, {}, false};
  size_t end = name;
  if (end >= 2 && text.compare(end - 2, 2, "->") == 0)
    end -= 2;
  else if (end >= 1 && text[end - 1] == '.')
    end -= 1;
  if (end != name) {
    const size_t base = text.find_last_not_of(std::string(kNameCharacters) + ".->[]:", end - 1);
    const size_t first = base == std::string::npos ? 0 : base + 1;
    found.candidates = with_prefix(place.source.members(text.substr(first, end - first), false), prefix);
    return found;
  }
  found.candidates = place.source.symbols(prefix);
  if (with_types)
    for (std::string& type : place.source.types(prefix)) found.candidates.push_back(std::move(type));
  return found;
}

// "task_struct.pid,co": a type, then its members with commas between.
Completion type(const Place& place) {
  const std::string text = place.text();
  const size_t dot = text.find('.');
  if (dot == std::string::npos) {
    const size_t star = text.starts_with('*') ? 1 : 0;
    return {place.word + star, place.source.types(text.substr(star)), false};
  }
  const size_t comma = text.find_last_of(',');
  const size_t first = comma == std::string::npos ? dot + 1 : comma + 1;
  const size_t last_dot = text.find_last_of('.');
  std::string of = text.substr(0, dot);
  size_t name = first;
  if (last_dot >= first) {  // a member of a member
    of += "." + text.substr(first, last_dot - first);
    name = last_dot + 1;
  }
  return {place.word + name, with_prefix(place.source.members(of, true), text.substr(name)), false};
}

Completion task_member(const Place& place) {
  const std::string text = place.text();
  const size_t comma = text.find_last_of(',');
  const size_t name = comma == std::string::npos ? 0 : comma + 1;
  return {place.word + name, with_prefix(place.source.members("task_struct", true), text.substr(name)),
          false};
}

// The word before the last one.
std::string_view previous_word(const Place& place) {
  const std::string_view head = place.before.substr(0, place.word);
  const size_t end = head.find_last_not_of(" \t");
  if (end == std::string_view::npos) return {};
  const size_t space = head.find_last_of(" \t", end);
  const size_t first = space == std::string_view::npos ? 0 : space + 1;
  return head.substr(first, end + 1 - first);
}

// The sign before the last word, if it is one of a redirection.
bool wants_file(const Place& place) {
  const std::string_view head = place.before.substr(0, place.word);
  const size_t end = head.find_last_not_of(" \t");
  return end != std::string_view::npos && (head[end] == '<' || head[end] == '>');
}

Wants wants_of(std::string_view command) {
  if (command.starts_with('*')) return Wants::type;
  for (const CommandWants& one : kCommands)
    if (command == one.command) return one.wants;
  return Wants::options;
}

Completion operand(const Place& place, const std::string& command) {
  const std::string text = place.text();
  if (text.starts_with('-')) return {place.word, place.source.options(command, text)};
  const Wants wants = wants_of(command);
  const bool is_second = previous_word(place) == command;
  switch (wants) {
    case Wants::expression:
      return expression(place, false);
    case Wants::type_or_symbol:
      return text.find('.') == std::string::npos ? expression(place, true) : type(place);
    case Wants::type:
      return is_second || previous_word(place).starts_with('-') ? type(place) : expression(place, false);
    case Wants::task_member:
      return previous_word(place) == "-R" ? task_member(place) : Completion{place.word, {}};
    case Wants::command:
      return {place.word, place.source.commands(text)};
    case Wants::options:
      break;
  }
  return {place.word, place.source.options(command, text)};
}

Completion find(const Place& place, size_t statement) {
  if (wants_file(place)) return {place.word, place.source.files(place.text())};
  const std::string_view head = place.before.substr(statement, place.word - statement);
  if (head.find('|') != std::string_view::npos) return {place.word, {}};
  const size_t first = head.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    if (place.text().starts_with('*')) return type(place);
    return {place.word, place.source.commands(place.text())};
  }
  const size_t end = std::min(head.find_first_of(" \t", first), head.size());
  return operand(place, std::string(head.substr(first, end - first)));
}

}  // namespace

Completion complete(std::string_view line, size_t cursor, const CompletionSource& source) {
  const std::string_view before = line.substr(0, std::min(cursor, line.size()));
  const size_t statement = start_of_statement(before);
  const Place place{before, std::max(statement, start_of_word(before)), source};
  Completion found = find(place, statement);
  std::sort(found.candidates.begin(), found.candidates.end());
  found.candidates.erase(std::unique(found.candidates.begin(), found.candidates.end()),
                         found.candidates.end());
  return found;
}

std::string common_start(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  std::string start = candidates.front();
  for (const std::string& one : candidates) {
    const auto ends = std::mismatch(start.begin(), start.end(), one.begin(), one.end());
    start.erase(ends.first, start.end());
  }
  return start;
}

}  // namespace kvista::cli
