// What unwinding asks of a kernel.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/address.h"

namespace kvista::unwind {

/// A kernel, or what a test has in its place.
class Target {
 public:
  Target() = default;
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  virtual ~Target() = default;

  /// Reads all of `out`. Returns why that cannot be done, or an empty text.
  virtual std::string read(VirtAddr address, std::span<std::byte> out) const = 0;
  /// Whether the kernel could run there.
  virtual bool is_code(VirtAddr address) const = 0;
  /// Where the function begins that an address is in. Nothing where that is not known.
  virtual std::optional<VirtAddr> function_of(VirtAddr address) const = 0;
};

}  // namespace kvista::unwind
