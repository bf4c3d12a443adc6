// Values as C would write them.
#pragma once

#include <string>
#include <vector>

#include "kvista/value.h"

namespace kvista::kernel {

class Session;

enum class Radix : uint8_t { as_c, decimal, hexadecimal };

/// One line of a value: "tasks = {", "pid = 1,", "}".
struct ValueLine {
  unsigned depth = 0;
  std::string text;
  std::string path;   ///< from the whole to what has a value: "tasks.next", "comm"; empty for the whole
  std::string type;   ///< its declaration; empty on lines that only open or close
  std::string value;  ///< the text of the value alone
  std::optional<VirtAddr> address;
};

/// The value, a line for each member. What cannot be read is shown as such, and counted in `faults`.
std::vector<ValueLine> value_lines(const Session& session, const Value& value, Radix radix = Radix::as_c,
                                   size_t* faults = nullptr);
/// A value that fits one line: a number, a pointer, a text.
std::string scalar_text(const Session& session, const Value& value, Radix radix = Radix::as_c);

}  // namespace kvista::kernel
