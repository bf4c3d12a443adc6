// The modules that are loaded: what they are, where they are, and their symbols.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "kvista/value.h"
#include "symbol/symbol_list.h"

namespace kvista::kernel {

class Session;

/// What cannot be read is left out.
struct Module {
  std::string name;
  Value object;  ///< its struct module
  std::optional<VirtAddr> base;
  std::optional<uint64_t> size;  ///< of all its parts, in bytes
  std::string state;             ///< "Live", "Loading" or "Unloading"
  std::optional<uint64_t> used;  ///< by how many; nothing where modules cannot be unloaded
  std::string taints;            ///< letters: "OE"; with "+" or "-" while it comes or goes
  std::vector<VirtRange> ranges;
};

struct Modules {
  std::vector<Module> modules;  ///< as in /proc/modules: newest first
  std::string fault;            ///< why it is not all of them; empty where it is
};

/// Reads the list of modules. Nothing is thrown: `fault` says what is missing.
Modules read_modules(const Session& session);
/// Which module has this address, or nothing.
const Module* module_at(const Session& session, VirtAddr address);
/// All symbols of all modules, as /proc/kallsyms has them. `fault` says what is missing.
symbol::SymbolList read_module_symbols(const Session& session, std::string& fault);

}  // namespace kvista::kernel
