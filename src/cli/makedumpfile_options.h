// makedumpfile's command line: its options, and what becomes of each here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvista::cli::makedumpfile {

/// What an option does here.
enum class Effect {
  used,     ///< what it does with makedumpfile
  none,     ///< it is accepted, and does nothing
  refused,  ///< it is an error
};

struct OptionInfo {
  const char* name;   ///< "--split"; empty: there is only the letter
  char letter;        ///< 0: there is none
  const char* value;  ///< what its value is called; empty: it takes none
  Effect effect;
  const char* text;  ///< what it does; or why it does nothing, or is refused
};

std::span<const OptionInfo> options();
/// "-d" or "--split".
std::string name_of(const OptionInfo& option);

struct Given {
  const OptionInfo* option;
  std::string value;
};

/// What stands on a command line.
class Arguments {
 public:
  /// As getopt_long takes it: letters together, values attached or not, options anywhere. Throws UsageError.
  Arguments(int argc, char** argv);

  bool has(std::string_view name) const;
  /// The last value of an option, or nothing.
  std::optional<std::string> value(std::string_view name) const;
  std::span<const Given> given() const { return given_; }
  const std::vector<std::string>& operands() const { return operands_; }

 private:
  std::vector<Given> given_;
  std::vector<std::string> operands_;
};

/// What -h prints.
std::string help();

}  // namespace kvista::cli::makedumpfile
