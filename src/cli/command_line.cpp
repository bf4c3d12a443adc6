// One command line: what it means, the command that it names, and its report.
#include "cli/command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <span>
#include <string>

#include "base/error.h"
#include "cli/about.h"
#include "cli/command.h"
#include "cli/help.h"
#include "cli/refused.h"
#include "cli/shell.h"
#include "cli/shell_source.h"
#include "kvista/version.h"

namespace kvista::cli {
namespace {

struct Output {
  explicit Output(const Invocation& invocation)
      : json(invocation.flag("--json")),
        ndjson(invocation.flag("--ndjson")),
        quiet(invocation.flag("--quiet")),
        no_color(invocation.flag("--no-color")) {}
  bool json;
  bool ndjson;
  bool quiet;
  bool no_color;
};

// CLI11 writes what the user gave into these.
struct Parsed {
  Invocation invocation;
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> flags;
  std::deque<std::vector<std::string>> operands;  // one for each operand of each command
};

// "-T,--ctime": what CLI11 takes for a name.
std::string names_of(const OptionSpec& spec) {
  return spec.letter == 0 ? spec.name : fmt::format("-{},{}", spec.letter, spec.name);
}

void add_option(CLI::App& app, const OptionSpec& spec, Parsed& parsed) {
  if (!spec.takes_value()) {
    app.add_flag(names_of(spec), parsed.flags[spec.name], spec.help);
    return;
  }
  app.add_option(names_of(spec), parsed.values[spec.name], spec.help)
      ->type_name(spec.value_name)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(spec.repeatable ? CLI::MultiOptionPolicy::TakeAll
                                            : CLI::MultiOptionPolicy::TakeLast);
}

// "-64" for "--64", which CLI11 would take for two letters.
std::vector<std::string> with_two_dashes(std::vector<std::string> words) {
  auto named = words.begin();
  while (named != words.end() && find_command(*named) == nullptr) {
    const auto left = words.end() - named;
    named += std::min<std::ptrdiff_t>(left, *named == image_option().name ? 2 : 1);
  }
  if (named == words.end()) return words;
  for (const OptionSpec& option : find_command(*named)->options) {
    if (!option.has_single_dash) continue;
    for (auto word = named + 1; word != words.end(); ++word)
      if ("-" + *word == option.name) *word = option.name;
  }
  return words;
}

constexpr int kMostOperands = 1000;

// A command that no argument names has no options: to set up those of all takes as long as many a command.
CLI::App* add_command(CLI::App& app, const Command& command, std::span<const std::string> arguments,
                      Parsed& parsed) {
  CLI::App* sub = app.add_subcommand(command.name, command.summary);
  const auto is_named = std::find(arguments.begin(), arguments.end(), command.name) != arguments.end();
  if (!is_named) return sub;
  sub->footer(fmt::format("Example:\n  {}\n\n{}", command.example, exit_status_line()));
  for (const OperandSpec& operand : command.operands) {
    auto* option = sub->add_option(operand.name, parsed.operands.emplace_back(), operand.help)
                       ->expected(1, operand.repeatable ? kMostOperands : 1);
    option->type_name("")->allow_extra_args(operand.repeatable);
    if (operand.required) option->required();
  }
  for (const OptionSpec& spec : command.options) add_option(*sub, spec, parsed);
  if (command.run)
    for (OptionSpec spec : output_options()) {
      // A letter that the command has for something else is the command's own.
      const std::string letter = {'-', spec.letter};
      const auto is_taken = [&](const OptionSpec& own) {
        return own.name == letter || own.letter == spec.letter;
      };
      if (spec.letter != 0 && std::any_of(command.options.begin(), command.options.end(), is_taken))
        spec.letter = 0;
      add_option(*sub, spec, parsed);
    }
  return sub;
}

// One that ends with "=" is what values begin with; behind a colon stands more of it ("zstd:3").
bool is_choice(const std::string& value, const OptionSpec& option) {
  return std::any_of(option.choices.begin(), option.choices.end(), [&](const std::string& choice) {
    return choice == value || choice.ends_with('=') || value.starts_with(choice + ":");
  });
}

bool fits(const std::string& value, const OptionSpec& option) {
  if (!option.takes_list) return is_choice(value, option);
  const std::vector<std::string> parts = split_at_commas(value);
  return std::all_of(parts.begin(), parts.end(),
                     [&](const std::string& part) { return is_choice(part, option); });
}

// Throws UsageError for a value that an option does not take.
void check_choices(const Command& command, const Invocation& invocation) {
  for (const OptionSpec& option : command.options) {
    if (option.choices.empty()) continue;
    for (const std::string& value : invocation.values(option.name))
      if (!fits(value, option))
        throw UsageError(fmt::format("{}: {} {}: expected {}{}", command.name, option.name, value,
                                     fmt::join(option.choices, ", "),
                                     option.takes_list ? ", or several of them with commas between" : ""));
  }
}

void collect(Parsed& parsed) {
  for (const auto& given : parsed.operands)
    parsed.invocation.operands.insert(parsed.invocation.operands.end(), given.begin(), given.end());
  for (const auto& [name, given] : parsed.flags)
    if (given) parsed.invocation.options[name] = {""};
  for (const auto& [name, values] : parsed.values)
    if (!values.empty() && name != image_option().name) parsed.invocation.options[name] = values;
  // Before the command -c is the image; behind it, it is the command's own.
  parsed.invocation.images = parsed.values[image_option().name];
}

bool wants_color(const Output& output, FILE* stream) {
  return !output.no_color && isatty(fileno(stream)) != 0 && std::getenv("NO_COLOR") == nullptr;
}

void write_out(const std::string& text, FILE* stream = stdout) {
  if (std::fwrite(text.data(), 1, text.size(), stream) != text.size() || std::fflush(stream) != 0)
    throw Error(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
}

void print_warnings(std::span<const std::string> warnings) {
  for (const std::string& warning : warnings) fmt::print(stderr, "kvista: warning: {}\n", warning);
}

void print(const Report& report, const Output& output) {
  std::string text;
  FILE* stream = report.to_stderr ? stderr : stdout;
  if (output.json)
    text = render_json(report);
  else if (output.ndjson)
    text = render_ndjson(report);
  else
    text = render_text(report, wants_color(output, stream));
  write_out(text, stream);
  if (!output.quiet) print_warnings(report.warnings);
}

int fail(const std::string& command, const Output& output, const std::string& message, ExitStatus status) {
  if (output.json) std::fputs(render_json_error(command, message, status).c_str(), stdout);
  fmt::print(stderr, "kvista: {}\n", message);
  return static_cast<int>(status);
}

int run_command(const Command& command, const Invocation& invocation) {
  const Output output(invocation);
  try {
    check_choices(command, invocation);
    const Report report = command.run(invocation);
    print(report, output);
    return static_cast<int>(report.status);
  } catch (const ExplainedError& error) {
    if (!output.quiet) print_warnings(error.warnings());
    return fail(command.name, output, error.what(), error.exit_status());
  } catch (const Error& error) {
    return fail(command.name, output, error.what(), error.exit_status());
  } catch (const std::bad_alloc&) {
    return fail(command.name, output, "not enough memory", ExitStatus::nothing);
  }
}

std::string list_commands() {
  std::string names;
  for (const Command& command : commands())
    names += fmt::format("{}{}", names.empty() ? "there are " : ", ", command.name);
  return names;
}

// A command line that cannot be parsed: what is wrong with it, in words that do not depend on CLI11's
// version.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const std::vector<std::string> extras = app.remaining(true);
  if (chosen.empty() && extras.empty() && error.get_name() == "RequiredError")
    return fmt::format("a command is missing: {} (kvista --help)", list_commands());
  if (chosen.empty() && !extras.empty() && why_refused(extras.front()) != nullptr)
    return fmt::format("{}: {}", extras.front(), why_refused(extras.front()));
  if (chosen.empty() && !extras.empty())
    return fmt::format("{}: there is no such {}: {} (kvista --help)", extras.front(),
                       extras.front().starts_with('-') ? "option before the command" : "command",
                       list_commands());
  const std::string name = chosen.empty() ? "" : " " + chosen.front()->get_name();
  if (std::find(extras.begin(), extras.end(), "-c") != extras.end())
    return fmt::format("-c IMAGE stands before the command: kvista -c IMAGE{}", name);
  if (!extras.empty())
    return fmt::format("{}: not understood by kvista{} (kvista{} -h)", extras.front(), name, name);
  return fmt::format("{} (kvista{} -h)", error.what(), name);
}

int print_schema(const std::string& name) {
  for (const Command& command : commands()) {
    if (command.name != name) continue;
    write_out(render_schema(command.name, command.tables));
    return static_cast<int>(ExitStatus::complete);
  }
  fmt::print(stderr, "kvista: schema {}: there is no such command ({})\n", name, list_commands());
  return static_cast<int>(ExitStatus::usage);
}

int print_help(const CLI::App& app, const Invocation& invocation) {
  const auto shell = invocation.value("--completion");
  if (shell) {
    write_out(bash_completion());
  } else if (invocation.flag("--man")) {
    write_out(manual_page());
  } else if (invocation.operands.empty()) {
    // app.help() would be that of the command `help`.
    write_out(app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal));
  } else {
    const auto subs = app.get_subcommands(
        [&](const CLI::App* sub) { return sub->get_name() == invocation.operands.front(); });
    if (subs.empty())
      throw UsageError(fmt::format("help {}: there is no such command ({})", invocation.operands.front(),
                                   list_commands()));
    write_out(subs.front()->help(app.get_name()));
  }
  return static_cast<int>(ExitStatus::complete);
}

int run_own_command(const CLI::App& app, const Command& command, const Invocation& invocation) {
  try {
    check_choices(command, invocation);
    if (command.name == "schema") return print_schema(invocation.operands.front());
    if (command.name == "shell") return run_shell(invocation);
    return print_help(app, invocation);
  } catch (const Error& error) {
    fmt::print(stderr, "kvista: {}\n", error.what());
    return static_cast<int>(error.exit_status());
  }
}

// What was said when the shell was started counts for each of its commands that knows it.
void take_over(const Opened& opened, const Command& command, Invocation& invocation) {
  invocation.opened = &opened;
  invocation.images = opened.images;
  for (const OptionSpec& option : command.options) {
    const auto given = opened.options.find(option.name);
    if (given != opened.options.end()) invocation.options.insert(*given);
    if (opened.is_hex && option.name == "-x" && !invocation.flag("-d")) invocation.options["-x"] = {""};
  }
}

}  // namespace

int run_command_line(const std::vector<std::string>& given, const Opened* opened) {
  const std::vector<std::string> words = with_two_dashes(given);
  CLI::App app(kAbout, "kvista");
  app.footer(fmt::format("kvista COMMAND -h has an example of each command.\n{}", exit_status_line()));
  app.set_version_flag("--version", fmt::format("kvista {}\nLicence: {}", kVersion, kLicence));
  app.require_subcommand(1);

  Parsed parsed;
  add_option(app, image_option(), parsed);
  std::map<const CLI::App*, const Command*> by_app;
  for (const auto& group : {commands(), own_commands()})
    for (const Command& command : group) by_app[add_command(app, command, words, parsed)] = &command;

  try {
    app.parse(std::vector(words.rbegin(), words.rend()));  // CLI11 takes them from the end
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "kvista: {}\n", explain(app, error));
    return static_cast<int>(ExitStatus::usage);
  }
  collect(parsed);
  const Command& command = *by_app.at(app.get_subcommands().front());
  if (opened != nullptr) take_over(*opened, command, parsed.invocation);
  return command.run ? run_command(command, parsed.invocation)
                     : run_own_command(app, command, parsed.invocation);
}

}  // namespace kvista::cli
