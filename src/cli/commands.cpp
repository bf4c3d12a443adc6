// All commands, and what they have in common.
#include <fmt/format.h>

#include <algorithm>

#include "cli/about.h"
#include "cli/command.h"

namespace kvista::cli {
namespace {

std::vector<std::string> names_of_commands() {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.push_back(command.name);
  return names;
}

Command make_schema() {
  return {"schema",
          "print the JSON Schema of what a command prints with --json",
          "kvista schema mem-usage\n  what a program can rely on in the output of kvista mem-usage --json",
          {{"COMMAND", "the command", true, names_of_commands()}},
          {},
          {},
          {}};
}

Command make_help() {
  return {"help",
          "print help, the manual page, or completion for a shell",
          "kvista help vtop\n  how the command vtop is used",
          {{"COMMAND", "the command; default: all of kvista", false, names_of_commands()}},
          {{"--man", "", "the manual page kvista(1), for man -l -"},
           {"--completion",
            "SHELL",
            "a script that completes kvista's command line; for bash",
            false,
            0,
            {"bash"}}},
          {},
          {}};
}

Command make_shell() {
  std::vector<OptionSpec> options = {{"-i", "SCRIPT", "run the commands of this file first", true},
                                     {"-s", "", "do not begin with what kvista sys prints"}};
  for (OptionSpec& one : machine_options()) options.push_back(std::move(one));
  return {"shell",
          "ask one image many things: an interactive shell, or the commands of standard input",
          "kvista vmcore\n  the same as kvista -c vmcore shell; help lists its commands, Ctrl-D ends it",
          {{"IMAGE", "the image; default: as of -c"}},
          options,
          {},
          {}};
}

}  // namespace

std::span<const Command> commands() {
  static const std::vector<Command> kCommands = {
      make_info(),   make_mem_usage(),  make_estimate(), make_dump(),   make_convert(),   make_verify(),
      make_dmesg(),  make_vmcoreinfo(), make_vtop(),     make_struct(), make_union(),     make_enum(),
      make_whatis(), make_sym(),        make_sys(),      make_ps(),     make_bt(),        make_foreach(),
      make_task(),   make_hung(),       make_lock(),     make_runq(),   make_workqueue(), make_dis(),
      make_mod(),    make_p(),          make_rd(),       make_list(),   make_tree(),      make_mach(),
      make_eval(),   make_ascii()};
  return kCommands;
}

std::span<const Command> own_commands() {
  static const std::vector<Command> kCommands = {make_schema(), make_help(), make_shell()};
  return kCommands;
}

const OptionSpec& image_option() {
  static const OptionSpec kOption = {
      "-c", "IMAGE",
      "the image that commands work on, before the command; default: /proc/vmcore, or the running kernel",
      true};
  return kOption;
}

std::span<const OptionSpec> output_options() {
  static const std::vector<OptionSpec> kOptions = {
      {"--json", "", "print JSON (its schema: kvista schema COMMAND)"},
      {"--ndjson", "", "print one JSON object a row"},
      {"--quiet", "", "no warnings and no progress", false, 'q'},
      {"--no-color", "", "no colour, not even on a terminal"},
  };
  return kOptions;
}

std::string exit_status_line() {
  std::string line = "Exit status:";
  for (const ExitStatusInfo& info : kExitStatuses)
    line += fmt::format("{} {} {}", info.status == ExitStatus::complete ? "" : ",",
                        static_cast<int>(info.status), info.meaning);
  return line + ".";
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

}  // namespace kvista::cli
