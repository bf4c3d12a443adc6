// What unwinding asks of a kernel.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "arch/x86_64/orc.h"
#include "base/address.h"

namespace kvista::unwind {

/// What the tables say of an address in code.
struct OrcAnswer {
  std::optional<arch::x86_64::OrcEntry> entry;
  /// There is an entry, and it cannot be read: why. Empty where there is none.
  std::string fault = {};
};

/// A kernel, or what a test has in its place.
class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;

  /// Reads all of `out`. Returns why that cannot be done, or an empty text.
  virtual std::string read(VirtAddr address, std::span<std::byte> out) const = 0;
  virtual OrcAnswer orc(VirtAddr address) const = 0;
  /// Whether the kernel could run there.
  virtual bool is_code(VirtAddr address) const = 0;
  /// Where the function begins that an address is in. Nothing where that is not known.
  virtual std::optional<VirtAddr> function_of(VirtAddr address) const = 0;
  /// Whether an address is in the code by which a breakpoint (int3) enters the kernel.
  virtual bool is_breakpoint_entry(VirtAddr /*address*/) const { return false; }
};

}  // namespace kvista::unwind
