// The frames between those that a dump keeps: which of them end a segment of an ELF core file.
#pragma once

#include <cstdint>
#include <vector>

#include "base/address.h"
#include "dump/plan.h"
#include "dump/second_bitmap.h"

namespace kvista::dump {

/// What is between two kept frames.
struct Gap {
  Pfn first;
  Pfn end;
  uint64_t frames() const { return end - first; }
};

/// Whether a gap ends a segment, or is joined to it as a hole.
class GapRule {
 public:
  /// Chooses how long gaps must be, so that they leave at most `segments` segments. Throws Unsupported where
  /// the stretches of memory alone are more.
  GapRule(const DumpPlan& plan, const SecondBitmap& second, uint64_t segments);

  bool ends_segment(const Gap& gap) const { return gap.frames() >= least_ || leaves_memory(gap); }
  /// How many segments there are by this rule.
  uint64_t segments() const { return segments_; }
  /// How many gaps are holes.
  uint64_t holes() const { return holes_; }

 private:
  // Whether the gap is not all memory: then it is no hole.
  bool leaves_memory(const Gap& gap) const;

  const DumpPlan& plan_;
  uint64_t least_ = 1;  // frames
  uint64_t segments_ = 0;
  uint64_t holes_ = 0;
};

}  // namespace kvista::dump
