// The floor of `kvista dump`: the pages that a dump holds are read once from its source, compressed, and
// written once, and nothing else is done: by one thread, and by one on each core at once, which share the
// memory's bandwidth. The source is the file that KVISTA_BENCH_IMAGE
// names, KVISTA_BENCH_DUMP a dump of it, which says which pages; run.py gives both.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/bits.h"
#include "codec/compress.h"
#include "image/open.h"
#include "pages/frame_scan.h"

namespace {

using namespace kvista;
using codec::Codec;

constexpr unsigned kPageShift = 12;
constexpr size_t kPage = size_t{1} << kPageShift;
constexpr uint64_t kPagesAtOnce = 64;
constexpr size_t kWriteAtOnce = size_t{1} << 20;
/// A thread's turn: so many runs, before those of the next one.
constexpr size_t kRunsInTurn = 1;

/// Seconds, stopped and started again.
class StopWatch {
 public:
  template <typename Work>
  void time(Work work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    sum_ += std::chrono::steady_clock::now() - start;
  }
  double seconds() const { return sum_.count(); }

 private:
  std::chrono::duration<double> sum_{};
};

/// A file on tmpfs that only takes.
class Sink {
 public:
  Sink() : fd_(memfd_create("kvista-bench", MFD_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("no file in memory can be made");
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink() { ::close(fd_); }
  void write(std::span<const std::byte> bytes) const {
    if (::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("a file in memory cannot be written");
  }

 private:
  int fd_;
};

struct Run {
  Pfn first;
  uint64_t count;
};

// Runs of the frames that the dump holds, at most kPagesAtOnce long.
std::vector<Run> runs_of(const image::MemoryImage& dump) {
  constexpr uint64_t kFrames = uint64_t{1} << 15;
  std::vector<Run> runs;
  const PhysAddr end = dump.ram().empty() ? PhysAddr{0} : dump.ram().back().end();
  for (Pfn first{0}; phys_of(first, kPageShift) < end; first = first + kFrames) {
    std::vector<std::byte> bits(kFrames / 8, std::byte{0xff});
    dump.clear_missing(first, kPageShift, bits);
    for_each_run(bits, [&](uint64_t from, uint64_t to) {
      for (; from < to; from += kPagesAtOnce)
        runs.push_back({first + from, std::min(kPagesAtOnce, to - from)});
    });
  }
  return runs;
}

// The runs of one of several threads.
std::vector<Run> part_of(std::span<const Run> runs, unsigned thread, unsigned threads) {
  std::vector<Run> part;
  for (size_t i = 0; i < runs.size(); ++i)
    if (i / kRunsInTurn % threads == thread) part.push_back(runs[i]);
  return part;
}

// One pass: what each part of it took, and how many bytes came out.
struct Floor {
  StopWatch read;
  StopWatch codec;
  StopWatch write;
  uint64_t bytes = 0;
  double seconds() const { return read.seconds() + codec.seconds() + write.seconds(); }
};

Floor pass(const image::MemoryImage& source, std::span<const Run> runs, Codec codec) {
  Floor floor;
  const Sink sink;
  const auto compressor = codec::make_compressor(codec, codec::levels_of(codec).usual);
  std::vector<std::byte> in(kPagesAtOnce * kPage);
  std::vector<std::byte> out(kWriteAtOnce + kPagesAtOnce * compressor->bound(kPage));
  std::vector<std::span<const std::byte>> pages;
  size_t filled = 0;
  const auto write = [&] {
    floor.write.time([&] { sink.write(std::span(out).first(filled)); });
    floor.bytes += filled;
    filled = 0;
  };
  for (const auto& [first, count] : runs) {
    const auto bytes = std::span(in).first(count * kPage);
    floor.read.time([&, at = phys_of(first, kPageShift)] {
      if (source.read(at, bytes).done != bytes.size()) throw std::runtime_error("a page cannot be read");
    });
    pages.clear();
    for (uint64_t i = 0; i < count; ++i)
      if (const auto page = bytes.subspan(i * kPage, kPage); !pages::is_zero(page)) pages.push_back(page);
    floor.codec.time([&] {
      for (const auto page : pages)
        filled += std::min(kPage, compressor->compress(page, std::span(out).subspan(filled)));
    });
    if (filled >= kWriteAtOnce) write();
  }
  write();
  return floor;
}

// One pass of each thread, side by side; the slowest of them is what they take.
Floor slowest_pass(const image::MemoryImage& source, std::span<const std::vector<Run>> parts, Codec codec) {
  std::vector<Floor> floors(parts.size());
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < parts.size(); ++i)
    threads.emplace_back([&, i] { floors[i] = pass(source, parts[i], codec); });
  floors[0] = pass(source, parts[0], codec);
  threads.clear();
  return *std::max_element(floors.begin(), floors.end(),
                           [](const Floor& a, const Floor& b) { return a.seconds() < b.seconds(); });
}

void dump_floor(benchmark::State& state, Codec codec) {
  const char* source_path = std::getenv("KVISTA_BENCH_IMAGE");
  const char* dump_path = std::getenv("KVISTA_BENCH_DUMP");
  if (source_path == nullptr || dump_path == nullptr) {
    state.SkipWithError("KVISTA_BENCH_IMAGE and KVISTA_BENCH_DUMP name no image and no dump of it");
    return;
  }
  const auto source = image::open_image(source_path);
  const auto runs = runs_of(*image::open_image(dump_path));
  const auto threads = static_cast<unsigned>(state.range(0));
  std::vector<std::vector<Run>> parts;
  for (unsigned i = 0; i < threads; ++i) parts.push_back(part_of(runs, i, threads));
  for (auto _ : state) {
    const Floor floor = slowest_pass(*source, parts, codec);
    state.SetIterationTime(floor.seconds());
    state.counters["read_s"] = floor.read.seconds();
    state.counters["codec_s"] = floor.codec.seconds();
    state.counters["write_s"] = floor.write.seconds();
    state.counters["bytes"] = static_cast<double>(floor.bytes);
  }
}

// dump/CODEC/THREADS: one thread, and one on each core.
const bool kRegistered = [] {
  for (const Codec codec : {Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd}) {
    if (!codec::is_available(codec)) continue;
    benchmark::RegisterBenchmark((std::string("dump/") + codec::describe(codec)).c_str(), dump_floor, codec)
        ->Unit(benchmark::kMillisecond)
        ->Iterations(1)
        ->Arg(1)
        ->Arg(std::max(1U, std::thread::hardware_concurrency()))
        ->UseManualTime();
  }
  return true;
}();

}  // namespace
