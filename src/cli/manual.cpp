// The manual page kvista(1).
#include <fmt/format.h>

#include <cctype>
#include <string_view>

#include "cli/about.h"
#include "cli/command.h"
#include "cli/help.h"
#include "kvista/version.h"

namespace kvista::cli {
namespace {

struct Described {
  const char* name;
  const char* text;
};

constexpr std::array kFiles = {
    Described{"/proc/vmcore",
              "the crashed kernel's memory, in the kernel that was started after it: the default image"},
    Described{"/proc/kcore",
              "the running kernel's memory: the default image elsewhere. Reading it needs CAP_SYS_RAWIO, "
              "and a kernel that is not locked down"},
    Described{"/dev/mem", "the running kernel's memory where the kernel allows that"},
    Described{"/proc/kallsyms", "where the running kernel's variables are; its note must agree"},
    Described{"/proc/config.gz, /boot/config-RELEASE", "what the running kernel was built with"},
    Described{"/sys/kernel/vmcoreinfo", "where the running kernel's VMCOREINFO is in memory"},
};

constexpr std::array kEnvironment = {
    Described{"DEBUGINFOD_URLS", "with --debuginfod: the servers that are asked for debuginfo"},
    Described{"NO_COLOR", "if set: no colour, not even on a terminal"},
};

constexpr const char* kImages =
    "The image is recognised by its content: an ELF core file, a kdump-compressed file, a LiME or an AVML "
    "dump, a stand-alone dump of s390x, a flattened stream of one of these, or the running kernel. The parts "
    "of a split dump are given "
    "one by one, each with its own -c; raw memory as FILE@ADDRESS, with the physical address of the file's "
    "first byte.";
constexpr const char* kTrust =
    "An answer that is incomplete says so: a page that is missing from an image is never taken for zeros, a "
    "fact that no "
    "source proves is absent, and sources that disagree are a warning with both values.";

constexpr const char* kDropIn =
    "Started by the name makedumpfile, which a link can give it, kvista takes makedumpfile's command line, "
    "and "
    "prints what becomes of each option with makedumpfile --help.";

// The text as roff prints it unchanged.
std::string escape(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n'))
      result += fmt::format("\\&{}", c);
    else
      result += c;
  }
  return result;
}

std::string as_sentence(std::string text) {
  text.at(0) = static_cast<char>(std::toupper(static_cast<unsigned char>(text.at(0))));
  return text.ends_with('?') ? text : text + ".";
}

std::string bold(std::string_view text) {
  return fmt::format("\\fB{}\\fP", escape(text));
}
std::string italic(std::string_view text) {
  return fmt::format("\\fI{}\\fP", escape(text));
}
std::string entry(std::string_view tag, std::string_view text) {
  return fmt::format(".TP\n{}\n{}\n", tag, escape(text));
}

std::string entry_of(const OptionSpec& option) {
  std::string tag = option.letter == 0 ? "" : bold(fmt::format("-{}", option.letter)) + ", ";
  tag += bold(option.name);
  if (option.takes_value()) tag += " " + italic(option.value_name);
  const std::string again = option.repeatable ? " (can be given more than once)" : "";
  return entry(tag, option.help + again);
}

std::string section_of(const Command& command) {
  std::string usage = bold("kvista " + command.name);
  std::string entries;
  for (const OperandSpec& operand : command.operands) {
    usage += operand.required ? " " + italic(operand.name) : fmt::format(" [{}]", italic(operand.name));
    entries += entry(italic(operand.name), operand.help);
  }
  if (!command.options.empty()) usage += " [" + italic("OPTION") + "]...";
  for (const OptionSpec& option : command.options) entries += entry_of(option);
  return fmt::format(".SS {}\n{}\n.PP\n{}\n{}", escape(command.name), usage,
                     escape(as_sentence(command.summary)), entries);
}

// A command's example is a command line, and behind it what it is for.
std::string example_of(const Command& command) {
  const size_t end = command.example.find('\n');
  const std::string_view text = command.example;
  const size_t start = text.find_first_not_of(" \n", end);
  return entry(bold(text.substr(0, end)), start == std::string_view::npos ? "" : text.substr(start));
}

template <typename Items>
std::string entries_of(const Items& items) {
  std::string text;
  for (const Described& item : items) text += entry(bold(item.name), item.text);
  return text;
}

}  // namespace

std::string manual_page() {
  std::string page = fmt::format(".TH KVISTA 1 \"\" \"kvista {}\" \"User Commands\"\n", escape(kVersion));
  page += fmt::format(".SH NAME\nkvista \\- {}\n", escape(kSummary));
  page += fmt::format(".SH SYNOPSIS\n{} [{} {}]... {} [{}]... [{}]...\n", bold("kvista"),
                      bold(image_option().name), italic(image_option().value_name), italic("COMMAND"),
                      italic("ARGUMENT"), italic("OPTION"));
  page += fmt::format(".SH DESCRIPTION\n{}\n.PP\n{}\n.PP\n{}\n.PP\n{}\n", escape(kAbout), escape(kImages),
                      escape(kTrust), escape(kDropIn));
  page += ".SH OPTIONS\nBefore the command:\n" + entry_of(image_option());
  page += entry(bold("--version"), "print the version and the licence");
  page += entry(bold("-h") + ", " + bold("--help"), "print help; behind a command, help of that command");
  page += ".PP\nBehind every command that looks at an image:\n";
  for (const OptionSpec& option : output_options()) page += entry_of(option);
  page += ".SH COMMANDS\n";
  for (const auto& group : {commands(), own_commands()})
    for (const Command& command : group) page += section_of(command);
  page += ".SH EXIT STATUS\n";
  for (const ExitStatusInfo& info : kExitStatuses)
    page += entry(bold(fmt::format("{}", static_cast<int>(info.status))), info.meaning);
  page += ".SH ENVIRONMENT\n" + entries_of(kEnvironment) + ".SH FILES\n" + entries_of(kFiles);
  page += ".SH EXAMPLES\n";
  for (const auto& group : {commands(), own_commands()})
    for (const Command& command : group) page += example_of(command);
  page += ".SH SEE ALSO\n.BR dmesg (1),\n.BR makedumpfile (8),\n.BR crash (8)\n";
  return page;
}

}  // namespace kvista::cli
