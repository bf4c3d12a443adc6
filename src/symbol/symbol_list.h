// Symbols that are held in memory: of tables that come as text or ELF, and of modules.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "kvista/symbol.h"

namespace kvista::symbol {

using VisitSymbol = std::function<void(const Symbol&)>;

/// Constant, and safe to use from several threads.
class SymbolList {
 public:
  SymbolList() = default;

  size_t size() const { return entries_.size(); }
  /// All symbols of that name, by address.
  std::vector<Symbol> find(std::string_view name) const;
  /// The symbol at or before an address, the first of those that share one.
  std::optional<NearSymbol> nearest(VirtAddr address) const;
  /// In the order in which they were added.
  void for_each(const VisitSymbol& visit) const;

 private:
  friend class SymbolListBuilder;
  struct Entry {
    VirtAddr address;
    uint32_t name = 0;  // where it begins in names_
    uint16_t module = 0;
    char type = 0;
  };
  Symbol symbol_at(const Entry& entry) const;
  std::string_view name_at(uint32_t at) const { return &names_[at]; }

  std::vector<Entry> entries_;  // as they were added
  std::vector<uint32_t> by_address_;
  std::vector<uint32_t> by_name_;
  std::vector<char> names_;  // each ends with a 0
  std::vector<std::string> modules_;
};

class SymbolListBuilder {
 public:
  /// Throws FormatError for what no list can hold: more than 4 GiB of names, 65536 modules.
  void add(VirtAddr address, char type, std::string_view name, std::string_view module = {});
  SymbolList finish() &&;

 private:
  SymbolList list_;
};

}  // namespace kvista::symbol
