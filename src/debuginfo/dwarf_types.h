// Types by DWARF.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/lazy.h"
#include "debuginfo/dwarf_handle.h"
#include "debuginfo/dwarf_index.h"
#include "type/type_table.h"

namespace kvista::debuginfo {

/// The types in a file's debug information. Its entries get numbers when they are first come across.
class DwarfTypes final : public type::TypeTable {
 public:
  /// `handle` must live longer; it is used under `mutex`.
  DwarfTypes(std::string path, const DwarfHandle& handle, std::mutex& mutex);

  std::vector<type::Type> find(std::string_view name, type::Kind kind) const override;
  std::vector<type::Type> functions(std::string_view name) const override;
  std::optional<uint64_t> enumerator(std::string_view name) const override;
  std::string damage() const override { return index().damage(); }

  /// What is at an address of the file, by its name.
  std::optional<type::Type> variable(std::string_view name, VirtAddr address) const;
  std::optional<type::Type> function(std::string_view name, VirtAddr address) const;
  /// All names, made when first asked for.
  const DwarfIndex& index() const;

 private:
  // A type: an entry, and of an array with several dimensions which of them.
  struct Place {
    DieRef die;
    uint32_t dimension = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct HashPlace {
    size_t operator()(const Place& place) const;
  };

  type::TypeInfo describe(uint32_t id) const override;
  type::Type numbered(const Place& place) const;
  type::Type of_entry(const IndexEntry& entry) const { return numbered({entry.die, 0}); }
  type::Type type_at(Dwarf_Die& die) const;
  type::Type target(Dwarf_Die& die) const;
  std::optional<DieRef> completed(Dwarf_Die& declaration) const;
  void describe_compound(Dwarf_Die& die, type::TypeInfo& info) const;
  void describe_array(Dwarf_Die& die, const Place& place, type::TypeInfo& info) const;
  void describe_function(Dwarf_Die& die, type::TypeInfo& info) const;
  void place_bit_field(Dwarf_Die& die, uint64_t size, type::Member& member) const;

  std::string path_;
  const DwarfHandle& handle_;
  std::mutex& mutex_;
  Lazy<DwarfIndex> index_;
  mutable std::unordered_map<Place, uint32_t, HashPlace> numbers_;  // with `places_` under numbers_mutex_
  mutable std::vector<Place> places_;
  mutable std::mutex numbers_mutex_;
};

}  // namespace kvista::debuginfo
