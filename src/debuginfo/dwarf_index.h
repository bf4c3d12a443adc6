// The names in a file's debug information: of types, enumerators, variables and functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "debuginfo/dwarf_handle.h"

namespace kvista::debuginfo {

enum class EntryKind : uint8_t {
  base,
  structure,
  union_type,
  enumeration,
  type_definition,
  enumerator,
  variable,
  function,
};

/// One thing that has a name. What many units have from the same header is one.
struct IndexEntry {
  std::string_view name;
  EntryKind kind = EntryKind::base;
  uint64_t value = 0;  ///< a variable's or function's address (0: none), an enumerator's value, a type's size
  uint32_t line = 0;   ///< of its declaration
  DieRef die;
};

/// Made in one pass over the top of each unit. Constant, and safe to use from several threads.
class DwarfIndex {
 public:
  /// Reads the file with up to `threads` threads, each with a handle of its own. Throws as DwarfHandle.
  DwarfIndex(const std::string& path, unsigned threads);

  /// All of that name, by kind, then by value and line.
  std::span<const IndexEntry> find(std::string_view name) const;
  std::span<const IndexEntry> entries() const { return entries_; }
  /// What is missing, in one sentence; empty where nothing is.
  const std::string& damage() const { return damage_; }

 private:
  void keep(std::vector<IndexEntry> found);

  std::vector<char> names_;
  std::vector<IndexEntry> entries_;  // sorted
  std::string damage_;
};

}  // namespace kvista::debuginfo
