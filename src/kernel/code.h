// Code in a kernel's memory: where functions are, and their bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "kvista/symbol.h"

namespace kvista::kernel {

class Session;

/// A function, by its symbol.
struct Function {
  symbol::Symbol symbol;
  VirtAddr first;
  VirtAddr end;              ///< where the next symbol is, or where it cannot go on
  bool end_is_known = true;  ///< false: there is no symbol behind it, and `end` is a bound
};
/// The function that an address is in. Nothing where no symbol has it.
std::optional<Function> function_at(const Session& session, VirtAddr address);

/// A run of code: its bytes, or why they are not there.
struct CodePiece {
  VirtAddr first;
  uint64_t size = 0;
  std::vector<std::byte> bytes;  ///< empty where they are missing
  std::string why_missing;
};
/// What is between two addresses, in runs that are there or are not. What is missing is passed over page by
/// page; at most 1 MiB is looked at.
std::vector<CodePiece> read_code(const Session& session, VirtAddr first, VirtAddr end);

/// Whether the kernel or a module could have code there: its own text, a module's parts.
bool is_code(const Session& session, VirtAddr address);

}  // namespace kvista::kernel
