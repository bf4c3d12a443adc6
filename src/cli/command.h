// A command as data: the command line, help, completion and schema are all made from this.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/report.h"
#include "kernel/session.h"
#include "machine/machine.h"

namespace kvista::cli {

struct OptionSpec {
  std::string name;        ///< "--explain"
  std::string value_name;  ///< "FILE"; empty for a flag
  std::string help;
  bool repeatable = false;
  char letter = 0;                        ///< its short form: 'T' for "-T"; 0: none
  std::vector<std::string> choices = {};  ///< the values that it takes, or what they begin with; none: any
  bool takes_list = false;                ///< several of its choices, with commas between
  bool has_single_dash = false;           ///< of "--64": "-64" is the same, as crash has it

  bool takes_value() const { return !value_name.empty(); }
};

struct OperandSpec {
  std::string name;  ///< "IMAGE"
  std::string help;
  bool required = false;
  std::vector<std::string> choices = {};  ///< as of an option
  bool repeatable = false;                ///< the last one may be given several times
};

/// What the shell shares with the commands that it runs.
struct Opened {
  const kernel::Session* session = nullptr;
  std::vector<std::string> images;  ///< what the session was opened from, as -c names it
  std::map<std::string, std::vector<std::string>, std::less<>> options;  ///< ... and how: machine_options()
  std::vector<std::string> said;  ///< warnings that need no second time
  std::optional<VirtAddr> task;   ///< what commands about a task take without an operand
  bool is_hex = false;            ///< numbers in hexadecimal where a command has the choice
};

/// What the user asked for.
struct Invocation {
  std::vector<std::string> images;  ///< -c, before the command
  std::vector<std::string> operands;
  std::map<std::string, std::vector<std::string>, std::less<>>
      options;                     ///< by name; a flag has one empty value
  const Opened* opened = nullptr;  ///< in the shell

  bool flag(std::string_view name) const { return options.contains(name); }
  /// The last value of an option, or nothing.
  std::optional<std::string> value(std::string_view name) const;
  std::vector<std::string> values(std::string_view name) const;
};

struct Command {
  std::string name;
  std::string summary;  ///< one line
  std::string example;  ///< a command line and what it is for
  std::vector<OperandSpec> operands;
  std::vector<OptionSpec> options;
  std::vector<TableSpec> tables;
  std::function<Report(const Invocation&)> run;
};

/// All commands that look at an image, in the order of the help text.
std::span<const Command> commands();
/// Those about kvista itself, schema and help: they have no tables, and `run` is empty.
std::span<const Command> own_commands();
/// "a,b" as options with several values take them; of an empty text one empty part.
std::vector<std::string> split_at_commas(const std::string& text);
/// The option before the command: -c IMAGE.
const OptionSpec& image_option();
/// What all commands that look at an image take: --json ...
std::span<const OptionSpec> output_options();

Command make_ascii();
Command make_bt();
Command make_convert();
Command make_dis();
Command make_dmesg();
Command make_dump();
Command make_enum();
Command make_estimate();
Command make_eval();
Command make_foreach();
Command make_hung();
Command make_info();
Command make_list();
Command make_lock();
Command make_mach();
Command make_mem_usage();
Command make_mod();
Command make_p();
Command make_ps();
Command make_rd();
Command make_runq();
Command make_struct();
Command make_sym();
Command make_sys();
Command make_task();
Command make_tree();
Command make_union();
Command make_verify();
Command make_vmcoreinfo();
Command make_vtop();
Command make_whatis();
Command make_workqueue();

/// The number that an option gives, or `otherwise`. Throws UsageError for one that is not in [least, most].
unsigned number_option(const Invocation& invocation, std::string_view option, unsigned least, unsigned most,
                       unsigned otherwise);
/// --threads: as many as there are CPUs where it is not given.
unsigned threads_option(const Invocation& invocation);

/// The options of every command that needs machine facts: --set, --vmcoreinfo, --symbols, --config, and
/// those about debuginfo.
std::vector<OptionSpec> machine_options();
/// The image that the command works on: the operand, or -c (once for each file of a split dump), or the
/// default. Throws UsageError for both an operand and -c.
std::vector<std::string> image_paths(const Invocation& invocation, std::optional<std::string> operand);
/// Opens the image and prepares its machine as the options say.
std::unique_ptr<machine::Machine> open_machine(const Invocation& invocation,
                                               const std::vector<std::string>& paths, bool explain);

/// Opens the image that -c or the default names, for commands that look at the kernel's objects.
std::unique_ptr<kernel::Session> open_session(const Invocation& invocation);
/// Opens it, or takes what the shell has open, calls `work`, and puts what is odd into the report's warnings;
/// an error comes with them.
Report with_session(const Invocation& invocation, const std::function<Report(const kernel::Session&)>& work);
/// The same for what works on a machine, and not on the kernel's objects.
Report with_machine(const Invocation& invocation, const std::function<Report(machine::Machine&)>& work);
/// Adds what is missing, and says that the report is partial.
void add_missing(Report& report, const std::string& what);

/// The texts of VMCOREINFO that a search found in memory.
TableSpec notes_spec();
Table notes_table(const machine::NoteChoice& choice);

/// An error together with what is odd about the image, its note and its facts: most often that is why.
class ExplainedError : public Error {
 public:
  ExplainedError(const Error& error, const machine::Machine& machine);
  ExplainedError(const Error& error, const kernel::Session& session, std::vector<std::string> warnings);
  std::span<const std::string> warnings() const { return warnings_; }
  ExitStatus exit_status() const override { return status_; }

 private:
  std::vector<std::string> warnings_;
  ExitStatus status_;
};

}  // namespace kvista::cli
