#include "dump/page_choice.h"

#include <algorithm>

#include "base/bits.h"

namespace kvista::dump {
namespace {

using pages::ClassByte;
using pages::PageClass;

}  // namespace

KeepTable::KeepTable(unsigned level) {
  for (unsigned byte = 0; byte < what_.size(); ++byte) {
    const PageClass page_class = pages::class_of(static_cast<ClassByte>(byte));
    const bool unaccepted = page_class == PageClass::free && (byte & pages::kFlagSpecial) != 0;
    for (const pages::ClassInfo& info : pages::class_infos()) {
      if (info.page_class != page_class) continue;
      what_.at(byte) = info.never_dumped || unaccepted  ? What::never
                       : (info.level_bits & level) != 0 ? What::leave_out
                                                        : What::keep;
    }
    if (page_class == PageClass::not_in_image) what_.at(byte) = What::never;
  }
}

void PageChoice::decide(Pfn first, std::span<const ClassByte> classes, std::span<std::byte> kept,
                        PageCounts& counts) const {
  for (size_t index = 0; index * kWordBits < classes.size(); ++index) {
    uint64_t is_kept = 0;
    const auto part =
        classes.subspan(index * kWordBits, std::min(kWordBits, classes.size() - index * kWordBits));
    for (size_t i = 0; i < part.size(); ++i) is_kept |= uint64_t{keep_.keeps(part[i])} << i;
    store_bits(kept, index, is_kept);
  }
  keep_protected(first, classes, kept, counts);
  image_.clear_missing(first, page_shift_, kept);
  for (size_t i = 0; i < classes.size(); ++i) {
    ClassCount& count = counts.classes.at(static_cast<size_t>(pages::class_of(classes[i])));
    ++count.frames;
    count.kept += (std::to_integer<unsigned>(kept[i / 8]) >> (i % 8)) & 1U;
  }
}

void PageChoice::keep_protected(Pfn first, std::span<const ClassByte> classes, std::span<std::byte> kept,
                                PageCounts& counts) const {
  const Pfn end = first + classes.size();
  auto range = std::partition_point(kept_always_.begin(), kept_always_.end(), [&](const PhysRange& r) {
    return r.end() <= phys_of(first, page_shift_);
  });
  for (; range != kept_always_.end() && range->start < phys_of(end, page_shift_); ++range) {
    const Pfn from = std::max(first, pfn_of(range->start, page_shift_));
    const Pfn to = std::min(end, pfn_of(range->end() + ((uint64_t{1} << page_shift_) - 1), page_shift_));
    for (uint64_t i = from - first; i < to - first; ++i) {
      if (keep_.keeps(classes[i]) || !keep_.may_keep(classes[i])) continue;
      // A frame in the free lists is nobody's: parts of the image are given back after boot.
      if (pages::class_of(classes[i]) == PageClass::free) continue;
      set_bits(kept, i, i + 1);
      ++counts.protected_frames;
    }
  }
}

bool PageChoice::is_protected(PhysAddr address) const {
  const auto range = std::partition_point(kept_always_.begin(), kept_always_.end(),
                                          [&](const PhysRange& r) { return r.end() <= address; });
  return range != kept_always_.end() && range->start <= address;
}

}  // namespace kvista::dump
