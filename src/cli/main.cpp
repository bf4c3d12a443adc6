// The command kvista: reads the command line, runs one command, renders its report.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "cli/command.h"
#include "kvista/version.h"

namespace kvista::cli {
namespace {

constexpr const char* kAbout =
    "kvista looks into a Linux kernel: running, crashed, or saved in a file. It needs no debuginfo.";
constexpr const char* kExitStatuses =
    "Exit status: 0 complete, 1 partial (what is missing is on standard error), 2 nothing could be answered, "
    "3 wrong "
    "usage.";

// What all commands take.
struct Output {
  bool json = false;
  bool ndjson = false;
  bool quiet = false;
  bool no_color = false;
};

// CLI11 writes what the user gave into these.
struct Parsed {
  Invocation invocation;
  Output output;
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> flags;
  std::vector<std::string> operands;
};

void add_output_options(CLI::App& app, Output& output) {
  app.add_flag("--json", output.json, "print JSON (its schema: kvista schema COMMAND)");
  app.add_flag("--ndjson", output.ndjson, "print one JSON object a row");
  app.add_flag("-q,--quiet", output.quiet, "no warnings and no progress");
  app.add_flag("--no-color", output.no_color, "no colour, not even on a terminal");
}

// "-T,--ctime": what CLI11 takes for a name.
std::string names_of(const OptionSpec& spec) {
  return spec.letter == 0 ? spec.name : fmt::format("-{},{}", spec.letter, spec.name);
}

CLI::App* add_command(CLI::App& app, const Command& command, Parsed& parsed) {
  CLI::App* sub = app.add_subcommand(command.name, command.summary);
  sub->footer(fmt::format("Example:\n  {}\n\n{}", command.example, kExitStatuses));
  for (const OperandSpec& operand : command.operands) {
    auto* option = sub->add_option(operand.name, parsed.operands, operand.help)->expected(1);
    option->type_name("");
    if (operand.required) option->required();
  }
  for (const OptionSpec& spec : command.options) {
    if (spec.value_name.empty())
      sub->add_flag(names_of(spec), parsed.flags[spec.name], spec.help);
    else
      sub->add_option(names_of(spec), parsed.values[spec.name], spec.help)
          ->type_name(spec.value_name)
          ->expected(1)
          ->allow_extra_args(false)
          ->multi_option_policy(spec.repeatable ? CLI::MultiOptionPolicy::TakeAll
                                                : CLI::MultiOptionPolicy::TakeLast);
  }
  add_output_options(*sub, parsed.output);
  return sub;
}

void collect(Parsed& parsed) {
  parsed.invocation.operands = parsed.operands;
  for (const auto& [name, given] : parsed.flags)
    if (given) parsed.invocation.options[name] = {""};
  for (const auto& [name, values] : parsed.values)
    if (!values.empty()) parsed.invocation.options[name] = values;
}

bool wants_color(const Output& output, FILE* stream) {
  return !output.no_color && isatty(fileno(stream)) != 0 && std::getenv("NO_COLOR") == nullptr;
}

void write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
}

void print_warnings(std::span<const std::string> warnings) {
  for (const std::string& warning : warnings) fmt::print(stderr, "kvista: warning: {}\n", warning);
}

void print(const Report& report, const Output& output) {
  std::string text;
  if (output.json)
    text = render_json(report);
  else if (output.ndjson)
    text = render_ndjson(report);
  else
    text = render_text(report, wants_color(output, stdout));
  write_out(text);
  if (!output.quiet) print_warnings(report.warnings);
}

int fail(const std::string& command, const Output& output, const std::string& message, ExitStatus status) {
  if (output.json) std::fputs(render_json_error(command, message, status).c_str(), stdout);
  fmt::print(stderr, "kvista: {}\n", message);
  return static_cast<int>(status);
}

int run_command(const Command& command, const Parsed& parsed) {
  try {
    const Report report = command.run(parsed.invocation);
    print(report, parsed.output);
    return static_cast<int>(report.status);
  } catch (const ExplainedError& error) {
    if (!parsed.output.quiet) print_warnings(error.warnings());
    return fail(command.name, parsed.output, error.what(), error.exit_status());
  } catch (const Error& error) {
    return fail(command.name, parsed.output, error.what(), error.exit_status());
  } catch (const std::bad_alloc&) {
    return fail(command.name, parsed.output, "not enough memory", ExitStatus::nothing);
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

int run(int argc, char** argv) {
  CLI::App app(kAbout, "kvista");
  app.footer(fmt::format("kvista COMMAND -h has an example of each command.\n{}", kExitStatuses));
  app.set_version_flag("--version", fmt::format("kvista {}\nLicence: {}", kVersion, kLicence));
  app.require_subcommand(1);

  Parsed parsed;
  app.add_option(
         "-c", parsed.invocation.images,
         "the image that commands work on, before the command; default: /proc/vmcore, or the running kernel")
      ->type_name("IMAGE")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  std::map<const CLI::App*, const Command*> by_app;
  for (const Command& command : commands()) by_app[add_command(app, command, parsed)] = &command;
  std::string schema_command;
  CLI::App* schema =
      app.add_subcommand("schema", "print the JSON Schema of what a command prints with --json");
  schema->add_option("COMMAND", schema_command, "the command")->required()->type_name("");
  schema->footer(
      fmt::format("Example:\n  kvista schema mem-usage\n  what a program can rely on in the output of "
                  "kvista mem-usage --json\n\n{}",
                  kExitStatuses));

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "kvista: {}\n", explain(app, error));
    return static_cast<int>(ExitStatus::usage);
  }
  collect(parsed);
  const CLI::App* chosen = app.get_subcommands().front();
  if (chosen == schema) return print_schema(schema_command);
  return run_command(*by_app.at(chosen), parsed);
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> kCommands = {make_info(), make_mem_usage(), make_dmesg(),
                                                 make_vmcoreinfo(), make_vtop()};
  return kCommands;
}

// Nothing that was printed may be lost in silence: a full disk shows only now.
int run_and_flush(int argc, char** argv) {
  const int status = run(argc, argv);
  if (status == static_cast<int>(ExitStatus::nothing)) return status;  // a sentence was printed already
  std::cout.flush();
  if (std::cout.good() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  fmt::print(stderr, "kvista: cannot write to standard output: {}\n", std::strerror(errno));
  return static_cast<int>(ExitStatus::nothing);
}

}  // namespace kvista::cli

int main(int argc, char** argv) {
  kvista::guard_mappings(static_cast<int>(kvista::ExitStatus::nothing));
  try {
    return kvista::cli::run_and_flush(argc, argv);
  } catch (const std::exception& error) {
    // What is said here must not throw again.
    for (const char* part : {"kvista: ", error.what(), "\n"}) std::fputs(part, stderr);
  } catch (...) {
    std::fputs("kvista: an error of unknown kind\n", stderr);
  }
  return static_cast<int>(kvista::ExitStatus::nothing);
}
