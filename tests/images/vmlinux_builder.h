// What of a vmlinux carries its symbols: sections of symbols, names and notes, in either class and byte
// order.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/endian.h"
#include "images/kallsyms_builder.h"

namespace kvista::test {

struct VmlinuxShape {
  ByteOrder order = ByteOrder::little;
  unsigned word_size = 8;
  std::string build_id;           ///< in hexadecimal; empty: none
  bool stripped = false;          ///< no section of symbols
  bool counted_in_first = false;  ///< as with more sections than 16 bits count
};

/// The file's bytes. Beside `symbols` it has an undefined one of the first's name, and one of a source file.
std::vector<std::byte> vmlinux_bytes(std::span<const Symbol> symbols, const VmlinuxShape& shape);

}  // namespace kvista::test
