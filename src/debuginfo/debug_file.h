// A file with debug information (DWARF): types, the types of variables and functions, source lines.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "kvista/source_line.h"
#include "type/type_table.h"

namespace kvista::debuginfo {

/// A function that code is of, by its source.
struct SourceFunction {
  std::string name;
  std::optional<SourceLine> line;  ///< where in it
};

/// What such a file says. Addresses are the file's own: KASLR has not moved them. Safe to use from several
/// threads. All functions throw FormatError where the file is damaged at that place.
class DebugFile {
 public:
  DebugFile() = default;
  DebugFile(const DebugFile&) = delete;
  DebugFile& operator=(const DebugFile&) = delete;
  virtual ~DebugFile() = default;

  virtual const type::TypeTable& types() const = 0;
  /// The type of the variable of that name that is there, or nothing.
  virtual std::optional<type::Type> variable(std::string_view name, VirtAddr address) const = 0;
  /// The prototype of the function of that name that begins there, or nothing.
  virtual std::optional<type::Type> function(std::string_view name, VirtAddr address) const = 0;
  /// The line that the instruction at an address was made from, or nothing.
  virtual std::optional<SourceLine> line_of(VirtAddr address) const = 0;
  /// The functions that the instruction at an address is of: those that were inlined, the innermost first,
  /// and last the one that they were inlined into. Of an inlined one's caller the line is that of the call.
  /// Nothing where that is not known.
  virtual std::vector<SourceFunction> functions_at(VirtAddr address) const = 0;
};

/// Whether this build has it: DWARF can be left out (KVISTA_DWARF=OFF), and the static command has none.
extern const bool kHasDwarf;

/// Opens an ELF file of any class and byte order that has DWARF 2 to 5. Nothing is read yet but its headers.
/// Throws AccessError where it cannot be read, FormatError where it has no debug information, Unsupported
/// where it is a module's, or this build has no DWARF.
std::unique_ptr<DebugFile> open_debug_file(const std::string& path);

}  // namespace kvista::debuginfo
