#include "dump/gaps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "base/bits.h"
#include "base/error.h"

namespace kvista::dump {
namespace {

// Lengths of gaps below this are told apart, those above by the power of two.
constexpr uint64_t kExact = 4096;
constexpr size_t kClasses = kExact + 64;

size_t class_of(uint64_t frames) {
  return frames < kExact ? frames : kExact + static_cast<size_t>(std::bit_width(frames));
}
// The shortest gap of a class.
uint64_t least_of(size_t length_class) {
  return length_class < kExact ? length_class : uint64_t{1} << (length_class - kExact - 1);
}

template <typename Visit>
void for_each_gap(const DumpPlan& plan, const SecondBitmap& second, Visit visit) {
  std::optional<Pfn> end;  // of the last kept frame
  std::vector<std::byte> bits(plan.block_frames() / 8);
  for (const Block& block : plan.blocks()) {
    second.get(block.first.value / 8, bits);
    for_each_run(bits, [&](uint64_t from, uint64_t to) {
      const Pfn first = block.first + from;
      if (end && *end < first) visit(Gap{*end, first});
      end = block.first + to;
    });
  }
}

}  // namespace

GapRule::GapRule(const DumpPlan& plan, const SecondBitmap& second, uint64_t segments) : plan_(plan) {
  std::array<uint64_t, kClasses> of_class{};
  uint64_t always = 1;
  uint64_t gaps = 1;
  for_each_gap(plan, second, [&](const Gap& gap) {
    ++gaps;
    if (leaves_memory(gap))
      ++always;
    else
      ++of_class.at(class_of(gap.frames()));
  });
  if (always > segments)
    throw Unsupported(
        fmt::format("memory has {} stretches, which --max-segments {} has no room for", always, segments));
  segments_ = always;
  size_t least = kClasses;
  while (least > 1 && segments_ + of_class.at(least - 1) <= segments) segments_ += of_class.at(--least);
  holes_ = gaps - segments_;
  least_ = least == kClasses ? UINT64_MAX : least_of(least);
}

bool GapRule::leaves_memory(const Gap& gap) const {
  const auto memory = plan_.memory();
  const auto range = std::partition_point(memory.begin(), memory.end(), [&](const PhysRange& one) {
    return pfn_of(one.end(), plan_.page_shift()) <= gap.first;
  });
  return range == memory.end() || pfn_of(range->start, plan_.page_shift()) > gap.first ||
         pfn_of(range->end(), plan_.page_shift()) < gap.end;
}

}  // namespace kvista::dump
