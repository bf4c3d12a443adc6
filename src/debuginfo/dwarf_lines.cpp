#include "debuginfo/dwarf_lines.h"

#include <dwarf.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"

namespace kvista::debuginfo {
namespace {

// The table of addresses is not in every file: the units themselves say the same.
std::optional<Dwarf_Die> unit_at(const DwarfHandle& handle, VirtAddr address) {
  Dwarf_Die unit{};
  if (dwarf_addrdie(handle.get(), address.value, &unit) != nullptr) return unit;
  std::string damage;
  for (const DieRef ref : handle.units(damage)) {
    unit = handle.at(ref);
    if (dwarf_haspc(&unit, address.value) == 1) return unit;
  }
  return std::nullopt;
}

// The scopes that hold an address, the innermost first, as they are within each other in the file.
std::vector<Dwarf_Die> scopes_at(Dwarf_Die& unit, VirtAddr address) {
  const auto take = [](int count, Dwarf_Die* scopes) {
    std::vector<Dwarf_Die> taken;
    if (count > 0) taken.assign(scopes, scopes + count);
    std::free(scopes);  // NOLINT(cppcoreguidelines-no-malloc): libdw's
    return taken;
  };
  Dwarf_Die* scopes = nullptr;
  int count = dwarf_getscopes(&unit, address.value, &scopes);
  std::vector<Dwarf_Die> found = take(count, count > 0 ? scopes : nullptr);
  if (found.empty()) return {};
  // Those around what is inlined are those of its definition, and not of the place where it is.
  scopes = nullptr;
  count = dwarf_getscopes_die(&found.front(), &scopes);
  return take(count, count > 0 ? scopes : nullptr);
}

std::string text_of(Dwarf_Die& die, unsigned attribute) {
  Dwarf_Attribute found{};
  const char* text = dwarf_formstring(dwarf_attr(&die, attribute, &found));
  return text == nullptr ? "" : text;
}

// From where an inlined function is called.
std::optional<SourceLine> call_of(Dwarf_Die& unit, Dwarf_Die& inlined) {
  const auto file = number_of(inlined, DW_AT_call_file);
  const auto line = number_of(inlined, DW_AT_call_line);
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (!file || !line || *line > UINT32_MAX || dwarf_getsrcfiles(&unit, &files, &count) != 0 || *file >= count)
    return std::nullopt;
  const char* name = dwarf_filesrc(files, *file, nullptr, nullptr);
  if (name == nullptr) return std::nullopt;
  return SourceLine{tidy_path(name, text_of(unit, DW_AT_comp_dir)), static_cast<unsigned>(*line)};
}

// A copy names the function that it is of by another entry.
std::string function_name(Dwarf_Die& die) {
  Dwarf_Attribute found{};
  const char* text = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &found));
  return text == nullptr ? "" : text;
}

}  // namespace

std::vector<SourceFunction> functions_at(const DwarfHandle& handle, VirtAddr address) {
  auto unit = unit_at(handle, address);
  if (!unit) return {};
  std::vector<SourceFunction> functions;
  std::optional<SourceLine> line = line_at(handle, address);
  for (Dwarf_Die& scope : scopes_at(*unit, address)) {
    const int tag = dwarf_tag(&scope);
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
    functions.push_back({function_name(scope), line});
    if (tag == DW_TAG_subprogram) break;
    line = call_of(*unit, scope);
  }
  return functions;
}

std::string tidy_path(const std::string& path, const std::string& compiled_in) {
  const std::string tidy = std::filesystem::path(path).lexically_normal().string();
  const std::string top = std::filesystem::path(compiled_in + "/").lexically_normal().string();
  return tidy.size() > top.size() && tidy.starts_with(top) ? tidy.substr(top.size()) : tidy;
}

std::optional<SourceLine> line_at(const DwarfHandle& handle, VirtAddr address) {
  auto unit = unit_at(handle, address);
  if (!unit) return std::nullopt;
  Dwarf_Lines* lines = nullptr;
  size_t count = 0;
  if (dwarf_getsrclines(&*unit, &lines, &count) != 0) fail_at(*unit, "its table of lines cannot be read");
  Dwarf_Line* line = dwarf_getsrc_die(&*unit, address.value);
  int number = 0;
  const char* file = line == nullptr ? nullptr : dwarf_linesrc(line, nullptr, nullptr);
  if (file == nullptr || dwarf_lineno(line, &number) != 0 || number <= 0) return std::nullopt;
  return SourceLine{tidy_path(file, text_of(*unit, DW_AT_comp_dir)), static_cast<unsigned>(number)};
}

}  // namespace kvista::debuginfo
