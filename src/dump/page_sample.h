// A sample of the pages that a dump holds, of each sort of page some.
#pragma once

#include <array>
#include <cstdint>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "base/address.h"
#include "kvista/page_class.h"

namespace kvista::dump {

/// Frames of one sort: those that the counting pass gives the same class and flags.
struct SampledSort {
  pages::ClassByte sort = 0;
  uint64_t frames = 0;    ///< that the dump holds
  std::vector<Pfn> pfns;  ///< of them, a random sample, in no order; any first part of it is one, too
};

/// Gathers the sample while frames go by, in bounded memory. Which frames are in it depends on the seed and
/// not on the order in which they come, so that it is the same with any number of threads.
class PageSample {
 public:
  PageSample(unsigned threads, uint64_t seed, size_t most);

  /// Frames from `first` on, with their classes, and a bit for each that is kept. `worker` belongs to one
  /// thread.
  void add(Pfn first, std::span<const pages::ClassByte> classes, std::span<const std::byte> kept,
           unsigned worker);

  /// All sorts that there are. At most `most` frames of each are in it.
  std::vector<SampledSort> sorts() const;

 private:
  // A random number for each frame: those with the smallest are the sample.
  using Ranked = std::pair<uint64_t, uint64_t>;
  struct Gathered {
    uint64_t frames = 0;
    std::priority_queue<Ranked> smallest;
  };
  using Worker = std::array<Gathered, 256>;

  void add_frame(Pfn pfn, Gathered& into) const;

  uint64_t seed_;
  size_t most_;
  std::vector<Worker> workers_;
};

}  // namespace kvista::dump
