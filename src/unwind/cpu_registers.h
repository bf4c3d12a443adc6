// The registers that CPUs had when their kernel stopped.
#pragma once

#include <map>

#include "arch/registers.h"

namespace kvista::kernel {
class Session;
}

namespace kvista::unwind {

struct StackRules;

/// Who noted them.
enum class RegisterSource : uint8_t {
  qemu,         ///< QEMU, of a guest that it dumped
  crash_notes,  ///< the kernel itself as it crashed, in its memory (crash_notes)
  prstatus,     ///< the dump's notes NT_PRSTATUS, of which there is one for each CPU
};
/// "QEMU note", "crash_notes", "NT_PRSTATUS".
const char* describe(RegisterSource source);

struct CpuRegisters {
  arch::Registers registers;
  RegisterSource source = RegisterSource::prstatus;
};

/// By the CPU's number. CPUs that did not run, or of which nobody noted anything, are missing; of a live
/// kernel all are.
std::map<unsigned, CpuRegisters> read_cpu_registers(const kernel::Session& session, const StackRules& rules);

}  // namespace kvista::unwind
