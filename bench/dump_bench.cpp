// The floor of `kvista dump`: the pages that a dump holds are read once from its source, compressed, and
// written once, by one thread, and nothing else is done. The source is the file that KVISTA_BENCH_IMAGE
// names, KVISTA_BENCH_DUMP a dump of it, which says which pages; run.py gives both.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
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

// Runs of the frames that the dump holds, at most kPagesAtOnce long.
std::vector<std::pair<Pfn, uint64_t>> runs_of(const image::MemoryImage& dump) {
  constexpr uint64_t kFrames = uint64_t{1} << 15;
  std::vector<std::pair<Pfn, uint64_t>> runs;
  const PhysAddr end = dump.ram().empty() ? PhysAddr{0} : dump.ram().back().end();
  for (Pfn first{0}; phys_of(first, kPageShift) < end; first = first + kFrames) {
    std::vector<std::byte> bits(kFrames / 8, std::byte{0xff});
    dump.clear_missing(first, kPageShift, bits);
    for_each_run(bits, [&](uint64_t from, uint64_t to) {
      for (; from < to; from += kPagesAtOnce)
        runs.emplace_back(first + from, std::min(kPagesAtOnce, to - from));
    });
  }
  return runs;
}

// One pass: what each part of it took, and how many bytes came out.
struct Floor {
  StopWatch read;
  StopWatch codec;
  StopWatch write;
  uint64_t bytes = 0;
};

Floor pass(const image::MemoryImage& source, std::span<const std::pair<Pfn, uint64_t>> runs, Codec codec) {
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

void dump_floor(benchmark::State& state, Codec codec) {
  const char* source_path = std::getenv("KVISTA_BENCH_IMAGE");
  const char* dump_path = std::getenv("KVISTA_BENCH_DUMP");
  if (source_path == nullptr || dump_path == nullptr) {
    state.SkipWithError("KVISTA_BENCH_IMAGE and KVISTA_BENCH_DUMP name no image and no dump of it");
    return;
  }
  const auto source = image::open_image(source_path);
  const auto runs = runs_of(*image::open_image(dump_path));
  for (auto _ : state) {
    const Floor floor = pass(*source, runs, codec);
    state.SetIterationTime(floor.read.seconds() + floor.codec.seconds() + floor.write.seconds());
    state.counters["read_s"] = floor.read.seconds();
    state.counters["codec_s"] = floor.codec.seconds();
    state.counters["write_s"] = floor.write.seconds();
    state.counters["bytes"] = static_cast<double>(floor.bytes);
  }
}

const bool kRegistered = [] {
  for (const Codec codec : {Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd}) {
    if (!codec::is_available(codec)) continue;
    benchmark::RegisterBenchmark((std::string("dump/") + codec::describe(codec)).c_str(), dump_floor, codec)
        ->Unit(benchmark::kMillisecond)
        ->Iterations(1)
        ->UseManualTime();
  }
  return true;
}();

}  // namespace
