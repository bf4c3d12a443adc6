#include "pages/census.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "pages/frame_scan.h"
#include "pages/zones.h"

namespace kvista::pages {
namespace {

// Of all frames together; each class gets a share of its size.
constexpr uint64_t kSamples = 32768;

struct Tally {
  std::array<uint64_t, 256> by_byte{};
  std::array<ZeroShare, kClassCount> zero_shares{};
  std::vector<std::byte> page;  // that is looked at
};

void count_bytes(std::span<const ClassByte> classes, std::array<uint64_t, 256>& by_byte) {
  // Runs of one class are long: count them whole.
  for (size_t i = 0; i < classes.size();) {
    size_t end = i + 1;
    while (end < classes.size() && classes[end] == classes[i]) ++end;
    by_byte.at(classes[i]) += end - i;
    i = end;
  }
}

// Whether it matters for some level, and is safe, to know if a page of the class is zero.
bool is_sampled(PageClass page_class) {
  return page_class == PageClass::non_pri_cache || page_class == PageClass::pri_cache ||
         page_class == PageClass::user || page_class == PageClass::free;
}

// A number that looks random but is the same in each run (Vigna's splitmix64).
uint64_t scatter(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

void look_at(const image::MemoryImage& image, PhysAddr at, PageClass page_class, Tally& tally) {
  ZeroShare& share = tally.zero_shares.at(static_cast<size_t>(page_class));
  if (image.read(at, tally.page).done != tally.page.size()) {
    ++share.missing;
    return;
  }
  ++share.looked_at;
  share.zeros += is_zero(tally.page) ? 1 : 0;
}

// One frame, at a scattered place, in each `stride` frames.
void look_for_zeros(const image::MemoryImage& image, const FrameBlock& block, unsigned page_shift,
                    uint64_t stride, Tally& tally) {
  tally.page.resize(size_t{1} << page_shift);
  for (uint64_t start = 0; start < block.classes.size(); start += stride) {
    const uint64_t at = start + scatter(block.first.value + start) % stride;
    if (at >= block.classes.size()) continue;
    const PageClass page_class = class_of(block.classes[at]);
    if (is_sampled(page_class)) look_at(image, phys_of(block.first + at, page_shift), page_class, tally);
  }
}

FreeCheck check_free(machine::Machine& machine, const Census& census) {
  FreeCheck check;
  check.counted = census.count(PageClass::free) - census.count_flagged(PageClass::free, kFlagSpecial);
  try {
    check.free_lists = count_free_lists(machine);
  } catch (const Error& error) {
    check.why_not = error.what();
  }
  return check;
}

// How many pages are zero, from those that were looked at.
struct ZeroEstimate {
  double pages = 0;
  double variance = 0;
  double unknown = 0;  ///< half of the pages of which nothing is known: the error goes both ways
  bool sure = true;

  // Pages that are not in the image are no sample of those that are: zero pages may be what was left out.
  void add_unknown(double count) {
    if (count == 0) return;
    sure = false;
    pages += count / 2;
    unknown += count / 2;
  }

  void add(uint64_t count, const ZeroShare& share, bool exact) {
    const auto seen = static_cast<double>(share.looked_at);
    const auto missing = static_cast<double>(share.missing);
    if (exact) {
      pages += static_cast<double>(share.zeros);
      add_unknown(missing);
      return;
    }
    sure = false;
    const double known = seen + missing == 0 ? 0 : static_cast<double>(count) * seen / (seen + missing);
    add_unknown(static_cast<double>(count) - known);
    if (known == 0) return;
    // With two more zero pages and two more others, the error is sound for shares near 0 and 1 too
    // (Agresti-Coull).
    const double n = seen + 4;
    const double p = (static_cast<double>(share.zeros) + 2) / n;
    pages += known * static_cast<double>(share.zeros) / seen;
    variance += known * known * p * (1 - p) / n;
  }

  uint64_t error() const {
    constexpr double kNineteenOfTwenty = 1.96;
    return static_cast<uint64_t>(std::ceil(kNineteenOfTwenty * std::sqrt(variance) + unknown));
  }
};

}  // namespace

uint64_t Census::total() const {
  uint64_t sum = 0;
  for (const ClassInfo& info : class_infos()) sum += count(info.page_class);
  return sum;
}

uint64_t Census::count(PageClass page_class) const {
  uint64_t sum = 0;
  for (size_t byte = 0; byte < by_byte.size(); ++byte)
    if (class_of(static_cast<ClassByte>(byte)) == page_class) sum += by_byte.at(byte);
  return sum;
}

uint64_t Census::count_flagged(PageClass page_class, ClassFlag flag) const {
  uint64_t sum = 0;
  for (size_t byte = 0; byte < by_byte.size(); ++byte)
    if (class_of(static_cast<ClassByte>(byte)) == page_class && (byte & flag) != 0) sum += by_byte.at(byte);
  return sum;
}

LevelCount Census::dumpable(unsigned level) const {
  LevelCount result;
  ZeroEstimate zeros;
  for (const ClassInfo& info : class_infos()) {
    if (info.never_dumped || (info.level_bits & level) != 0) continue;
    const auto pages = count(info.page_class);
    result.pages += pages;
    if ((level & kLevelZero) == 0) continue;
    if (info.page_class == PageClass::kern_data) zeros.add_unknown(static_cast<double>(gaps.unread()));
    if (is_sampled(info.page_class) && pages != 0)
      zeros.add(pages, zero_shares.at(static_cast<size_t>(info.page_class)), exact);
  }
  result.pages -= std::min(result.pages, static_cast<uint64_t>(std::llround(zeros.pages)));
  result.error = zeros.error();
  result.estimate = !zeros.sure;
  return result;
}

Census take_census(machine::Machine& machine, const CensusOptions& options) {
  const FrameScan scan(machine, {options.threads, true});
  const unsigned page_shift = scan.memory_map().page_shift;
  const uint64_t stride = options.exact ? 1 : std::max<uint64_t>(1, scan.visited() / kSamples);

  std::vector<Tally> tallies(options.threads);
  Census census;
  census.page_size = scan.memory_map().page_size();
  census.gaps = scan.run([&](const FrameBlock& block, unsigned worker) {
    Tally& tally = tallies.at(worker);
    count_bytes(block.classes, tally.by_byte);
    if (options.look_for_zeros_elsewhere) look_for_zeros(machine.image(), block, page_shift, stride, tally);
  });
  for (const Tally& tally : tallies) {
    for (size_t i = 0; i < tally.by_byte.size(); ++i) census.by_byte.at(i) += tally.by_byte.at(i);
    for (size_t i = 0; i < kClassCount; ++i) {
      census.zero_shares.at(i).looked_at += tally.zero_shares.at(i).looked_at;
      census.zero_shares.at(i).zeros += tally.zero_shares.at(i).zeros;
      census.zero_shares.at(i).missing += tally.zero_shares.at(i).missing;
    }
  }
  census.by_byte.at(to_byte(PageClass::no_struct_page)) += census.gaps.without_section;
  census.exact = stride == 1;
  census.warnings = scan.memory_map().warnings;
  if (!machine.fact(machine::FactId::crashkernel).value)
    census.warnings.emplace_back(
        "where the crash kernel's memory is cannot be established: it is counted, if there is any");
  census.free_check = check_free(machine, census);
  return census;
}

}  // namespace kvista::pages
