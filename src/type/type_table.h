// A table of types that can be asked by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "type/type_source.h"

namespace kvista::type {

/// What BTF and DWARF have in common. All functions throw FormatError where the table is damaged at that
/// place.
class TypeTable : public TypeSource {
 public:
  using TypeSource::TypeSource;

  /// Its own types of that name and kind, first those with members.
  virtual std::vector<Type> find(std::string_view name, Kind kind) const = 0;
  /// The prototypes of the functions of that name: static ones can share it.
  virtual std::vector<Type> functions(std::string_view name) const = 0;
  /// The value of an enumerator of that name, in any of its own enumerations.
  virtual std::optional<uint64_t> enumerator(std::string_view name) const = 0;
  /// Why it does not have all of its types, in one sentence; empty where it has.
  virtual std::string damage() const = 0;

 protected:
  /// Puts those with members first, and otherwise keeps their order.
  static void put_complete_first(std::vector<Type>& types);
};

}  // namespace kvista::type
