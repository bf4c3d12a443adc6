// The kernel's symbols: where they can be known from, and whether a table is that of the image's kernel.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/address.h"
#include "decode/symbol_text.h"
#include "vmcoreinfo/locate.h"

namespace kvista::machine {

class Machine;

/// One symbol table, as far as facts need it.
struct SymbolTable {
  decode::FoundSymbols symbols;
  std::string failure;  ///< why it cannot be used; empty where it can
  size_t damaged = 0;   ///< symbols whose names cannot be read
  uint64_t shift = 0;   ///< how far KASLR moved the kernel from the addresses in the file

  /// Throws NotFound where the table cannot be used, has no such name, or has it at several addresses.
  VirtAddr at(std::string_view name) const;
};

/// /proc/kallsyms of the running kernel. It must give the note's symbols at the note's
/// addresses; else `failure` says what differs, or why it cannot be read.
SymbolTable read_proc_kallsyms(const std::string& path, const Machine& machine);

/// A vmlinux, a System.map or a copy of /proc/kallsyms that the user gives, told apart by content. Nothing is
/// proven yet. Throws AccessError where it cannot be read, FormatError where it holds no symbols.
SymbolTable read_symbol_file(const std::string& path, const Machine& machine);

/// Shows every symbol of such a file, at the address that it has there. Throws likewise.
void for_each_file_symbol(const std::string& path, const decode::VisitFileSymbol& visit);

/// Whether `table` is that of the machine's kernel, and where KASLR moved it. All symbols that it and the
/// note have must be one multiple of what KASLR moves a kernel by apart, and its build-id must be the note's;
/// where it has none, there must be two such symbols, and linux_banner or init_uts_ns must show OSRELEASE in
/// memory. The addresses are then those in the image; else `failure` says what was found instead.
void prove_symbol_file(Machine& machine, SymbolTable& table);

}  // namespace kvista::machine
