// Values as C would write them.
#pragma once

#include <string>
#include <vector>

#include "kvista/value.h"

namespace kvista::kernel {

class Session;

enum class Radix : uint8_t { as_c, decimal, hexadecimal };

/// How values are written.
struct ValueStyle {
  Radix radix = Radix::as_c;
  uint64_t most_elements = 200;  ///< of each array, as gdb has it
  size_t most_lines = 500'000;   ///< of a whole value
};

/// One line of a value: "tasks = {", "pid = 1,", "}".
struct ValueLine {
  unsigned depth = 0;
  std::string text;
  std::string path;   ///< from the whole to what has a value: "tasks.next", "comm"; empty for the whole
  std::string type;   ///< its declaration; empty on lines that only open or close
  std::string value;  ///< the text of the value alone
  std::optional<VirtAddr> address;
};

/// A value, a line for each member. What is left out has a line that says so, and what cannot be read too.
struct ValueLines {
  std::vector<ValueLine> lines;
  size_t faults = 0;  ///< values that cannot be read
  size_t cut = 0;     ///< arrays and structs of which not all is shown
};
ValueLines value_lines(const Session& session, const Value& value, const ValueStyle& style = {});
/// A value that fits one line: a number, a pointer, a text.
std::string scalar_text(const Session& session, const Value& value, Radix radix = Radix::as_c);

}  // namespace kvista::kernel
