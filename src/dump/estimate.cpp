#include "dump/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "codec/compress.h"
#include "dump/page_copier.h"
#include "dump/page_sample.h"
#include "dump/protected_memory.h"
#include "dump/writer.h"

namespace kvista::dump {
namespace {

// Of a sort with few pages at least so many are looked at.
constexpr uint64_t kLeastOfASort = 100;
// Half the width of an interval that holds 95 of 100 values of a normal distribution, in standard deviations.
constexpr double kNormal95 = 1.96;

// A page that was read: a place in the sorts, and what it has in the dump.
struct Reading {
  size_t sort = 0;
  Pfn pfn;
  CopiedPage page;
};

// Pages in proportion, but some of each sort.
std::vector<Reading> choose(const std::vector<SampledSort>& sorts, uint64_t sample) {
  uint64_t all = 0;
  for (const SampledSort& sort : sorts) all += sort.frames;
  std::vector<Reading> chosen;
  for (size_t i = 0; i < sorts.size(); ++i) {
    const double share = static_cast<double>(sorts[i].frames) / static_cast<double>(all);
    const auto wanted = static_cast<uint64_t>(std::llround(static_cast<double>(sample) * share));
    const uint64_t count = std::min<uint64_t>(sorts[i].pfns.size(), std::max(wanted, kLeastOfASort));
    for (uint64_t n = 0; n < count; ++n) chosen.push_back({i, sorts[i].pfns[n], {}});
  }
  // In the order of memory, in which files are read faster.
  std::sort(chosen.begin(), chosen.end(), [](const Reading& a, const Reading& b) { return a.pfn < b.pfn; });
  return chosen;
}

void read(const image::MemoryImage& image, const DumpRequest& request, unsigned page_shift,
          std::vector<Reading>& readings) {
  constexpr size_t kAtOnce = 64;
  const unsigned threads = std::max(1U, request.threads);
  const int level = request.compression.value_or(request.codec ? codec::levels_of(*request.codec).usual : 0);
  std::vector<std::unique_ptr<PageCopier>> copiers(threads);
  parallel_for((readings.size() + kAtOnce - 1) / kAtOnce, threads, [&](size_t item, unsigned worker) {
    auto& copier = copiers.at(worker);
    if (!copier)
      copier =
          std::make_unique<PageCopier>(image, request.codec, level, page_shift, 1, request.erasure.ranges);
    constexpr std::array<std::byte, 8> kFirst{std::byte{1}};
    CopiedChunk one;
    for (size_t i = item * kAtOnce; i < std::min(readings.size(), (item + 1) * kAtOnce); ++i) {
      copier->copy(readings[i].pfn, kFirst, one);
      readings[i].page = one.pages.front();
    }
  });
}

// What a sort's sample says of all its pages.
struct SortSum {
  uint64_t count = 0;
  uint64_t zeros = 0;
  double sum = 0;
  double squares = 0;

  void add(const CopiedPage& page) {
    ++count;
    zeros += page.kind == CopiedPage::Kind::zero ? 1 : 0;
    sum += page.size;
    squares += static_cast<double>(page.size) * page.size;
  }

  // Of the estimated sum over `frames` pages. What a sample has not seen may be there: that one more page
  // would have been of another kind is never left out.
  double variance(uint64_t frames, double page_size) const {
    const auto n = static_cast<double>(count);
    const auto all = static_cast<double>(frames);
    if (count == 0 || count >= frames) return 0;
    const double of_sample = count < 2 ? 0 : (squares - sum * sum / n) / (n - 1);
    const double unseen = 1 / (n + 1);
    const double least = page_size * page_size * unseen * (1 - unseen);
    return all * all * (1 - n / all) * std::max(of_sample, least) / n;
  }
};

void add_up(const std::vector<SampledSort>& sorts, const std::vector<Reading>& readings, Estimate& result) {
  std::vector<SortSum> sums(sorts.size());
  for (const Reading& reading : readings) {
    sums.at(reading.sort).add(reading.page);
    result.missing += reading.page.kind == CopiedPage::Kind::missing ? 1 : 0;
  }
  double variance = 0;
  const auto page_size = static_cast<double>(result.page_size);
  for (size_t i = 0; i < sorts.size(); ++i) {
    const double each =
        static_cast<double>(sorts[i].frames) / static_cast<double>(std::max<uint64_t>(sums[i].count, 1));
    ClassEstimate& of_class = result.classes.at(static_cast<size_t>(pages::class_of(sorts[i].sort)));
    of_class.pages += sorts[i].frames;
    of_class.sampled += sums[i].count;
    of_class.zeros += each * static_cast<double>(sums[i].zeros);
    of_class.bytes += each * sums[i].sum;
    result.bytes += each * sums[i].sum;
    variance += sums[i].variance(sorts[i].frames, page_size);
  }
  result.error = kNormal95 * std::sqrt(variance);
}

constexpr uint64_t kMiB = uint64_t{1} << 20;

// From the lowest to the highest address of the kernel's image.
std::optional<uint64_t> kernel_image_size(const kernel::Session& session) {
  try {
    const auto first = session.symbols().find("_text");
    const auto end = session.symbols().find("_end");
    if (!first.empty() && !end.empty() && first.front().address < end.front().address)
      return end.front().address - first.front().address;
  } catch (const NotFound&) {
    // No symbols: assumed, as below.
  }
  return std::nullopt;
}

}  // namespace

Estimate estimate(const kernel::Session& session, DumpRequest request, uint64_t sample, uint64_t seed) {
  PageSample gathered(request.threads, seed, sample);
  request.dry_run = true;
  request.outputs = {"-"};
  request.decided = [&](Pfn first, auto classes, auto kept, unsigned worker) {
    gathered.add(first, classes, kept, worker);
  };
  const DumpResult counted = write_dump(session, request);
  Estimate result;
  result.level = counted.level;
  result.page_size = uint64_t{1} << counted.page_shift;
  result.frames = counted.frames;
  result.pages = counted.planned;
  result.tables = counted.most_bytes - (counted.planned << counted.page_shift);
  result.warnings = counted.warnings;
  const std::vector<SampledSort> sorts = gathered.sorts();
  std::vector<Reading> readings = choose(sorts, sample);
  read(session.image(), request, counted.page_shift, readings);
  add_up(sorts, readings, result);
  result.bytes += static_cast<double>(result.tables);
  return result;
}

std::vector<MemoryNeed> memory_needs(const kernel::Session& session, const CrashKernel& crash,
                                     uint64_t page_size) {
  // Assumed where nothing is known: what Debian 13's kernel and a small initramfs come to.
  constexpr uint64_t kImage = 64 * kMiB;
  constexpr uint64_t kKernelFile = 16 * kMiB;
  constexpr uint64_t kInitramfs = 32 * kMiB;
  constexpr uint64_t kUnpacked = 3;  // times as large as the file
  constexpr uint64_t kOwn = 64 * kMiB;
  constexpr uint64_t kOwnPerCpu = 2 * kMiB;
  // docs/dump-writer.md, "What memory holds".
  constexpr uint64_t kTool = 18 * kMiB;
  constexpr uint64_t kToolPerThread = 5 * kMiB;
  const auto image = kernel_image_size(session);
  const auto how = [](bool known, const char* text) { return std::string(known ? text : "assumed"); };
  const uint64_t file = crash.kernel_file.value_or(kKernelFile);
  const uint64_t packed = crash.initramfs_file.value_or(kInitramfs);
  std::vector<MemoryNeed> needs = {
      {"kernel file", file, how(crash.kernel_file.has_value(), "as large as the file")},
      {"kernel", image.value_or(kImage), how(image.has_value(), "as large as this kernel: _text to _end")},
      {"initramfs file", packed, how(crash.initramfs_file.has_value(), "as large as the file")},
      {"initramfs, unpacked", kUnpacked * packed, fmt::format("assumed: {} times the file", kUnpacked)},
      {"kernel at work", kOwn + crash.cpus * kOwnPerCpu,
       fmt::format("assumed: {} MiB, and {} MiB a CPU", kOwn / kMiB, kOwnPerCpu / kMiB)},
      {"kvista dump", kTool + crash.cpus * kToolPerThread,
       fmt::format("its bounds: {} MiB, and {} MiB a thread, of which each CPU has one", kTool / kMiB,
                   kToolPerThread / kMiB)}};
  // The crash kernel's own memory map.
  constexpr uint64_t kStructPage = 64;
  uint64_t sum = 0;
  for (const MemoryNeed& need : needs) sum += need.bytes;
  needs.push_back({"memory map", sum * kStructPage / page_size,
                   fmt::format("{} bytes a page of {}", kStructPage, page_size)});
  return needs;
}

uint64_t reservation_mib(const std::vector<MemoryNeed>& needs) {
  constexpr uint64_t kStep = 16;
  uint64_t sum = 0;
  for (const MemoryNeed& need : needs) sum += need.bytes;
  return (sum / kMiB + kStep) / kStep * kStep;
}

}  // namespace kvista::dump
