// The names of a kernel's addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kvista/address.h"

namespace kvista::symbol {

struct Symbol {
  VirtAddr address;
  char type = 0;  ///< a letter as nm(1) has it: t text, d data, b bss ...
  std::string name;
  std::string module;  ///< empty: the kernel's own
};

/// The symbol that an address belongs to.
struct NearSymbol {
  Symbol symbol;
  uint64_t offset = 0;                ///< of the address, in bytes
  std::optional<uint64_t> size = {};  ///< up to the next symbol, in bytes; nothing for the last
};

}  // namespace kvista::symbol
