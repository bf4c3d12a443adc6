// The kernel's own symbols, by name and by address, from whichever table there is.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "decode/kallsyms_lookup.h"
#include "machine/machine.h"
#include "symbol/symbol_list.h"

namespace kvista::symbol {

/// First the table that the kernel carries in its memory (kallsyms). Where that cannot be used,
/// /proc/kallsyms of the running kernel; where it lacks a name, the vmlinux or System.map that the user
/// gives. Constant, and safe to use from several threads.
class KernelSymbols {
 public:
  /// Throws NotFound with the reasons of all where there is no table that can be used. `machine` must live
  /// longer.
  explicit KernelSymbols(machine::Machine& machine);

  /// All symbols of that name, by address.
  std::vector<Symbol> find(std::string_view name) const;
  /// The symbol of the kernel image that an address belongs to, of several at one place the first in the
  /// table, which is the one that the kernel's own messages show. Nothing outside of the image.
  std::optional<NearSymbol> nearest(VirtAddr address) const;
  /// In the order of the first table that can be used. What is damaged is left out.
  void for_each(const VisitSymbol& visit) const;

  /// The reason why a name may be missing that the kernel has; empty where there is none.
  std::string why_incomplete() const;
  /// Whether the table has no variables: the kernel was built without CONFIG_KALLSYMS_ALL.
  bool functions_only() const;
  /// Whether some of the table is damaged; the machine's warnings say what.
  bool is_damaged() const;

 private:
  bool use_kallsyms(machine::Machine& machine);
  bool use_file(machine::Machine& machine, machine::Source source, const std::string& path);
  std::vector<Symbol> find_in_kallsyms(std::string_view name) const;

  const decode::Kallsyms* kallsyms_ = nullptr;  // null: cannot be used
  std::unique_ptr<decode::KallsymsLookup> lookup_;
  SymbolList listed_;  // of the first file that can be used
  std::string failures_;
  std::optional<VirtRange> image_;
};

}  // namespace kvista::symbol
