// What unwinding by ORC asks of a kernel.
#pragma once

#include <optional>
#include <string>

#include "arch/x86_64/orc.h"
#include "unwind/target.h"

namespace kvista::unwind {

/// What the tables say of an address in code.
struct OrcAnswer {
  std::optional<arch::x86_64::OrcEntry> entry;
  /// There is an entry, and it cannot be read: why. Empty where there is none.
  std::string fault = {};
};

/// A kernel with ORC tables, or what a test has in its place.
class OrcTarget : public Target {
 public:
  virtual OrcAnswer orc(VirtAddr address) const = 0;
  /// Whether an address is in the code by which a breakpoint (int3) enters the kernel.
  virtual bool is_breakpoint_entry(VirtAddr /*address*/) const { return false; }
};

}  // namespace kvista::unwind
