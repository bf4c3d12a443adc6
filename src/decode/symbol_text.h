// A symbol table as text: System.map and /proc/kallsyms, whose lines are "ADDRESS TYPE NAME".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/address.h"

namespace kvista::decode {

/// What a symbol table says of the names that were asked for.
struct FoundSymbols {
  /// Every address of a name: a name that has several is ambiguous.
  std::map<std::string, std::set<VirtAddr>, std::less<>> addresses;
  size_t count = 0;      ///< symbols of the kernel itself
  size_t nonzero = 0;    ///< of these, with an address other than 0
  size_t nonsense = 0;   ///< lines of no such form
  std::string build_id;  ///< in hexadecimal, where the file has one
};

/// Called with a symbol's address, its letter as nm(1) has it, and its name.
using VisitFileSymbol = std::function<void(VirtAddr address, char type, std::string_view name)>;

/// Takes the text piece by piece and keeps only the symbols with one of `names`, which must outlive it.
/// Modules' symbols, which have a fourth field "[module]", are left out.
class SymbolTextParser {
 public:
  /// `visit`, if any, is shown every symbol of the kernel itself.
  explicit SymbolTextParser(std::span<const std::string_view> names, VisitFileSymbol visit = {})
      : names_(names.begin(), names.end()), visit_(std::move(visit)) {}

  void add(std::string_view piece);
  /// What was found; the last line needs no newline.
  FoundSymbols finish();

 private:
  void add_line(std::string_view line);
  std::set<std::string_view> names_;
  VisitFileSymbol visit_;
  std::string begun_;  ///< a line whose end is in the next piece
  FoundSymbols result_;
};

}  // namespace kvista::decode
