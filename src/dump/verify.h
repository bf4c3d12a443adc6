// Whether a dump is whole: every page read, and its tables checked against each other.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/address.h"
#include "image/consistency.h"
#include "image/memory_image.h"

namespace kvista::dump {

struct VerifyOptions {
  unsigned threads = 1;
  /// Told how many bytes of memory of how many are done, from one thread at a time, often.
  std::function<void(uint64_t done, uint64_t planned)> progress;
};

/// Page frames in one state.
struct FramesInState {
  uint64_t frames = 0;
  std::vector<PhysRange> first;  ///< where the first of them are: at most kFirstPlaces runs, in order
};
inline constexpr size_t kFirstPlaces = 4;

struct VerifyResult {
  uint64_t page_size = 0;
  std::array<FramesInState, image::kPageStateCount> states;
  std::vector<image::Check> checks;

  const FramesInState& in(image::PageState state) const { return states.at(static_cast<size_t>(state)); }
  /// Of memory, in the dump or not.
  uint64_t frames() const;
  /// Pages that the dump has, those of zeros that it left out among them.
  uint64_t good() const;
  /// Pages that it should have, and has not: lost or unreadable.
  uint64_t bad() const;
  /// Nothing is lost, and nothing contradicts itself. What was left out on purpose is not lost.
  bool is_whole() const;
};

/// Reads all pages of `image`, and checks its tables where the format has any. Throws Unsupported for the
/// running kernel's memory.
VerifyResult verify(const image::MemoryImage& image, const VerifyOptions& options);

}  // namespace kvista::dump
