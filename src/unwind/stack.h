// The stacks that a kernel runs on.
#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"

namespace kvista::unwind {

enum class StackKind : uint8_t {
  task,       ///< of a task
  irq,        ///< of a CPU's hard and soft interrupts
  exception,  ///< of a CPU, for one kind of exception (IST): NMI, double fault, machine check ...
  entry,      ///< of a CPU, where it enters the kernel with page-table isolation
  firmware,   ///< on which the kernel calls the firmware
  real,       ///< of a CPU, on which it runs without translation of addresses
};

/// A stack, [first, end). It grows down from `end`.
struct Stack {
  StackKind kind = StackKind::task;
  std::string name;  ///< "task", "IRQ", "NMI", "entry" ...
  VirtAddr first;
  VirtAddr end;

  bool contains(VirtAddr address) const { return address >= first && address < end; }
};

}  // namespace kvista::unwind
