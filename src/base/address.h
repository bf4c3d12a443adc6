// Typed addresses, which are public, and sums of numbers that an image gives.
#pragma once

#include <cstdint>
#include <optional>

#include "kvista/address.h"

namespace kvista {

/// a + b, or nothing where the sum does not fit 64 bits.
constexpr std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  if (a > UINT64_MAX - b) return std::nullopt;
  return a + b;
}

}  // namespace kvista
