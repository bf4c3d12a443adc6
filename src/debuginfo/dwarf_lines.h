// Source lines by DWARF.
#pragma once

#include <optional>
#include <vector>

#include "base/address.h"
#include "debuginfo/debug_file.h"
#include "debuginfo/dwarf_handle.h"

namespace kvista::debuginfo {

/// The line that the instruction at an address of the file was made from, or nothing. For inlined code it is
/// that of the innermost function. Throws FormatError where the table of lines is damaged.
std::optional<SourceLine> line_at(const DwarfHandle& handle, VirtAddr address);

/// The functions that the instruction is of, as DebugFile::functions_at(). Throws likewise.
std::vector<SourceFunction> functions_at(const DwarfHandle& handle, VirtAddr address);

/// A file's name as a kernel's messages have it: without the directory that it was compiled in, and without
/// "." and "..".
std::string tidy_path(const std::string& path, const std::string& compiled_in);

}  // namespace kvista::debuginfo
