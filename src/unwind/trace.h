// What a stack tells: from where a CPU or a task is, back along the calls that led there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/registers.h"
#include "base/address.h"
#include "unwind/stack.h"

namespace kvista::unwind {

/// By which means a frame was found.
enum class Means : uint8_t {
  registers,      ///< the registers that it started from, or those that an exception saved
  switched_out,   ///< what was saved when the task was switched out
  orc,            ///< the kernel's ORC tables
  frame_pointer,  ///< the frame pointer: of x86_64 that of code that ORC does not know
  link_register,  ///< the register in which a call leaves its address: what it called has no frame yet
  call_site,      ///< on the stack is the address behind a call of this very function
  scan,           ///< a guess: what looks like a return address is on the stack
};
/// "registers", "switched out", "orc", "frame pointer", "link register", "call site", "scan".
const char* describe(Means means);

struct Frame {
  VirtAddr address;            ///< to which a call returns, or of the instruction that was interrupted
  VirtAddr sp;                 ///< the stack pointer there
  std::optional<VirtAddr> at;  ///< where on the stack the address is
  Means means = Means::registers;
  /// It was interrupted, or is where it all starts. Else `address` is behind a call, and may be that of
  /// another function, where the one that called never expected to go on.
  bool is_interrupted = false;
  const Stack* stack = nullptr;              ///< that `sp` is in; null for none
  std::optional<arch::Registers> registers;  ///< of an interrupted frame, as far as they were saved
  /// What was wrong with the frame before, so that this one had to be guessed; empty where nothing was.
  std::string doubt;

  /// The address by which to look for function and line.
  VirtAddr lookup_address() const { return is_interrupted ? address : address - 1; }
};

/// Where a stack was followed to.
enum class End : uint8_t {
  complete,  ///< to where the kernel was entered, or a kernel thread began
  damaged,   ///< not so far: `fault` says why
};

struct Trace {
  std::vector<Frame> frames;
  End end = End::damaged;
  std::string fault;
  /// With what the kernel was entered from user mode, if it was.
  std::optional<arch::Registers> user;
};

/// More frames than any stack has.
inline constexpr size_t kMostFrames = 1024;

/// Where to start.
struct Start {
  Means means = Means::registers;
  arch::Registers registers;  ///< at least instruction, stack and frame pointer
  bool has_all_registers = false;
  bool is_interrupted = false;
  std::optional<VirtAddr> at = {};  ///< where on the stack the instruction pointer is
};

}  // namespace kvista::unwind
