// Where Capstone's functions are. The command loads the library when something is to be disassembled: its
// tables, which hold addresses by the ten thousand, would else take most of every start, and 3 MiB.
#pragma once

#include <capstone/capstone.h>

namespace kvista::disasm {

struct Capstone {
  decltype(&cs_support) support;
  decltype(&cs_open) open;
  decltype(&cs_close) close;
  decltype(&cs_option) option;
  decltype(&cs_strerror) strerror;
  decltype(&cs_malloc) malloc;
  decltype(&cs_free) free;
  decltype(&cs_disasm_iter) disasm_iter;
  decltype(&cs_insn_group) insn_group;
};

/// Throws Unsupported, with the reason, where the library cannot be loaded. Safe to use from several threads.
/// It is defined in capstone_loaded.cpp, or for the static command in capstone_linked.cpp.
const Capstone& capstone();

}  // namespace kvista::disasm
