#include "dump/kdump_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/parallel.h"
#include "dump/copy_pages.h"
#include "dump/kdump_file.h"

namespace kvista::dump {
namespace {

// Parts of about as many pages each.
std::vector<Part> split_evenly(const DumpPlan& plan, const SecondBitmap& second, uint64_t planned,
                               size_t count) {
  std::vector<Part> parts{{}};
  uint64_t before = 0;
  std::vector<std::byte> bits(plan.block_frames() / 8);
  for (const Block& block : plan.blocks()) {
    second.get(block.first.value / 8, bits);
    for (uint64_t word = 0; word < bits.size() / 8; ++word) {
      const uint64_t kept = count_ones(load_bits(bits, word));
      const Pfn first = block.first + word * kWordBits;
      if (kept != 0 && parts.size() < count && before >= (planned * parts.size() + count - 1) / count) {
        parts.back().end = first;
        parts.push_back({first, {}, 0});
      }
      before += kept;
      parts.back().pages += kept;
    }
  }
  parts.back().end = plan.end();
  parts.resize(count, {plan.end(), plan.end(), 0});
  return parts;
}

// One result of the parts' own.
void add_part(DumpResult& whole, const DumpResult& part) {
  whole.written += part.written;
  whole.zeros += part.zeros;
  whole.bytes += part.bytes;
  for (size_t i = 0; i < part.missing.size(); ++i) whole.missing.at(i) += part.missing.at(i);
  whole.changed += part.changed;
  whole.full = whole.full || part.full;
  if (whole.failure.empty()) whole.failure = part.failure;
}

// Each part is written by threads of its own.
void write_parts(const DumpPlan& plan, const DumpRequest& request, const SecondBitmap& second,
                 std::vector<std::unique_ptr<KdumpFile>>& files, DumpResult& result) {
  const auto parts = split_evenly(plan, second, result.planned, files.size());
  std::mutex mutex;
  std::atomic<uint64_t> done_before = 0;
  const auto together = static_cast<unsigned>(std::min<size_t>(files.size(), request.threads));
  parallel_for(files.size(), together, [&](size_t number, unsigned /*worker*/) {
    DumpRequest own = request;
    own.threads = std::max(1U, request.threads / together);
    uint64_t told = 0;
    own.progress = [&](uint64_t done, uint64_t /*planned*/) {
      const uint64_t all = done_before += done - std::exchange(told, done);
      const std::lock_guard lock(mutex);
      if (request.progress) request.progress(all, result.planned << plan.page_shift());
    };
    const DumpResult part = files[number]->write_pages(own, second, parts[number]);
    const std::lock_guard lock(mutex);
    add_part(result, part);
  });
}

}  // namespace

DumpResult write_kdump(DumpPlan& plan, const DumpRequest& request) {
  std::vector<std::unique_ptr<KdumpFile>> files;
  for (const std::string& path : request.outputs)
    files.push_back(std::make_unique<KdumpFile>(plan, request, path));
  DumpResult result;
  result.level = plan.level();
  result.page_shift = plan.page_shift();
  // Decisions are made once: other parts copy them from the first.
  SecondBitmap second = files.front()->second_bitmap();
  result.frames = files.front()->write_tables();
  plan.decide(second, result);
  result.most_bytes = files.front()->most_bytes(result.planned);
  if (request.dry_run) return result;
  for (size_t i = 1; i < files.size(); ++i) {
    files[i]->write_tables();
    files[i]->copy_second_bitmap(second);
  }
  if (files.size() > 1) {
    write_parts(plan, request, second, files, result);
  } else {
    add_part(result, files.front()->write_pages(request, second, {Pfn{0}, plan.end(), result.planned}));
  }
  return result;
}

}  // namespace kvista::dump
