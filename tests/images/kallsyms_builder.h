// A kernel's symbol table as the kernel keeps it in memory, in any of its encodings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/endian.h"

namespace kvista::test {

enum class SymbolEncoding { place_relative, base_relative, base_relative_percpu, absolute };

struct Symbol {
  std::string name;
  char type = 'D';
  uint64_t address = 0;
};

struct KallsymsTable {
  std::vector<std::byte> num_syms;
  std::vector<std::byte> names;
  std::vector<std::byte> token_table;
  std::vector<std::byte> token_index;
  std::vector<uint64_t> markers;  ///< where in `names` each 256th name is
};

/// Sorts `symbols` and encodes all that does not depend on where tables are. Names of more than 127 tokens
/// get a length of two bytes.
KallsymsTable encode_names(std::vector<Symbol>& symbols, ByteOrder order);
/// The addresses of sorted `symbols`. `table_at` is where this table itself will be (place-relative only),
/// `base` the value of kallsyms_relative_base. Per-CPU symbols are those below 2 GiB.
std::vector<std::byte> encode_addresses(const std::vector<Symbol>& symbols, SymbolEncoding encoding,
                                        uint64_t table_at, uint64_t base, ByteOrder order,
                                        unsigned word_size);

}  // namespace kvista::test
