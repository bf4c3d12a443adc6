#include "dump/page_sample.h"

#include <algorithm>

#include "base/bits.h"

namespace kvista::dump {
namespace {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

PageSample::PageSample(unsigned threads, uint64_t seed, size_t most)
    : seed_(mix(seed)), most_(most), workers_(std::max(1U, threads)) {}

void PageSample::add(Pfn first, std::span<const pages::ClassByte> classes, std::span<const std::byte> kept,
                     unsigned worker) {
  for_each_run(kept, [&](uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; ++i) add_frame(first + i, workers_.at(worker).at(classes[i]));
  });
}

void PageSample::add_frame(Pfn pfn, Gathered& into) const {
  ++into.frames;
  const Ranked ranked{mix(seed_ ^ pfn.value), pfn.value};
  if (into.smallest.size() == most_) {
    if (into.smallest.top() < ranked) return;
    into.smallest.pop();
  }
  into.smallest.push(ranked);
}

std::vector<SampledSort> PageSample::sorts() const {
  std::vector<SampledSort> sorts;
  for (size_t byte = 0; byte < std::tuple_size_v<Worker>; ++byte) {
    SampledSort sort{static_cast<pages::ClassByte>(byte), 0, {}};
    std::vector<Ranked> all;
    for (const Worker& worker : workers_) {
      sort.frames += worker.at(byte).frames;
      for (auto queue = worker.at(byte).smallest; !queue.empty(); queue.pop()) all.push_back(queue.top());
    }
    if (sort.frames == 0) continue;
    std::sort(all.begin(), all.end());
    all.resize(std::min(all.size(), most_));
    for (const Ranked& ranked : all) sort.pfns.push_back(Pfn{ranked.second});
    sorts.push_back(std::move(sort));
  }
  return sorts;
}

}  // namespace kvista::dump
