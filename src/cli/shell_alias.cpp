#include "cli/shell_alias.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"

namespace kvista::cli {
namespace {

// crash's own, and what crash hands on to gdb.
const std::map<std::string, std::string, std::less<>> kBuiltIn = {{"?", "help"},
                                                                  {"dec", "set radix 10"},
                                                                  {"exit", "q"},
                                                                  {"for", "foreach"},
                                                                  {"hex", "set radix 16"},
                                                                  {"log", "dmesg"},
                                                                  {"lsmod", "mod"},
                                                                  {"man", "help"},
                                                                  {"p/d", "p"},
                                                                  {"p/x", "p -x"},
                                                                  {"pd", "p"},
                                                                  {"print", "p"},
                                                                  {"print/x", "p -x"},
                                                                  {"px", "p -x"},
                                                                  {"quit", "q"},
                                                                  {"sf", "set scroll off"},
                                                                  {"sn", "set scroll on"}};

std::string line_of(const std::string& name, const std::string& text) {
  return fmt::format("{:<8}  {}\n", name, text);
}

// Before the words of the user come the alias's; what becomes of the output the user says last.
Statement joined(Statement from_alias, const Statement& given) {
  if (from_alias.words.empty())
    from_alias.host += fmt::format(" {}", fmt::join(given.words.begin() + 1, given.words.end(), " "));
  else
    from_alias.words.insert(from_alias.words.end(), given.words.begin() + 1, given.words.end());
  if (given.is_redirected()) {
    from_alias.pipe = given.pipe;
    from_alias.output = given.output;
    from_alias.is_appended = given.is_appended;
  }
  if (!given.input.empty()) from_alias.input = given.input;
  return from_alias;
}

}  // namespace

Aliases::Aliases() : texts_(kBuiltIn) {}

std::string Aliases::define(const std::vector<std::string>& words) {
  std::string said;
  if (words.size() == 1) {
    for (const auto& [name, text] : texts_) said += line_of(name, text);
    return said;
  }
  const std::string& name = words[1];
  if (words.size() == 2) {
    const auto found = texts_.find(name);
    if (found == texts_.end()) throw UsageError(fmt::format("alias {}: there is no such alias", name));
    return line_of(name, found->second);
  }
  if (name == "alias" || name == "unalias") throw UsageError(fmt::format("{} cannot be an alias", name));
  const std::string text = fmt::format("{}", fmt::join(words.begin() + 2, words.end(), " "));
  if (split_line(text).empty()) throw UsageError(fmt::format("alias {}: a command is needed", name));
  texts_[name] = text;
  return {};
}

void Aliases::remove(const std::vector<std::string>& words) {
  if (words.size() == 1) throw UsageError("unalias: a name is needed");
  for (size_t at = 1; at < words.size(); ++at)
    if (texts_.erase(words[at]) == 0)
      throw UsageError(fmt::format("unalias {}: there is no such alias", words[at]));
}

std::vector<Statement> Aliases::expand(const Statement& statement) const {
  std::vector<Statement> before;
  Statement last = statement;
  std::set<std::string, std::less<>> seen;  // "alias ps ps -G" means ps once
  while (!last.words.empty()) {
    const auto found = texts_.find(last.words.front());
    if (found == texts_.end() || !seen.insert(found->first).second) break;
    std::vector<Statement> meant = split_line(found->second);
    last = joined(std::move(meant.back()), last);
    meant.pop_back();
    for (Statement& one : meant) before.push_back(std::move(one));
  }
  before.push_back(std::move(last));
  return before;
}

std::vector<std::string> Aliases::names() const {
  std::vector<std::string> names;
  for (const auto& [name, text] : texts_) names.push_back(name);
  return names;
}

}  // namespace kvista::cli
