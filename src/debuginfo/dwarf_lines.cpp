#include "debuginfo/dwarf_lines.h"

#include <dwarf.h>
#include <fmt/format.h>

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

std::string text_of(Dwarf_Die& die, unsigned attribute) {
  Dwarf_Attribute found{};
  const char* text = dwarf_formstring(dwarf_attr(&die, attribute, &found));
  return text == nullptr ? "" : text;
}

}  // namespace

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
