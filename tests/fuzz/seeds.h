// Valid inputs of each target, from which a fuzzer starts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/targets.h"

namespace kvista::fuzz {

struct Seed {
  std::string name;
  std::vector<std::byte> bytes;
};

struct Target {
  std::string_view name;
  bool (*run)(Input input);
  std::vector<Seed> (*seeds)();
};

/// All targets.
std::span<const Target> targets();

}  // namespace kvista::fuzz
