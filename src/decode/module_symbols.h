// The symbols of a module, as its struct mod_kallsyms leads to them (include/linux/module.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/endian.h"

namespace kvista::decode {

struct ModuleSymbolTable {
  std::span<const std::byte> symbols;  ///< ELF symbols of the word's size
  std::span<const std::byte> names;
  std::span<const std::byte> letters;  ///< one for each symbol; empty before 5.2 (1c7651f43777)
  ByteOrder order = ByteOrder::little;
  unsigned word_size = 8;
};

struct ModuleSymbol {
  VirtAddr address;
  char type = 0;
  std::string_view name;
};

/// How many bytes of names the symbols lead to: up to the start of the last, and room for it.
uint64_t names_size_of_module_symbols(std::span<const std::byte> symbols, ByteOrder order,
                                      unsigned word_size);
/// Visits the symbols that have names. Returns how many lead to names that are not there.
size_t for_each_module_symbol(const ModuleSymbolTable& table,
                              const std::function<void(const ModuleSymbol&)>& visit);

}  // namespace kvista::decode
