// The census of an image on one core, without and with the search for zero pages. The image is the file that
// KVISTA_BENCH_IMAGE names; run.py gives the 8 GiB reference dump.
#include <benchmark/benchmark.h>

#include <cstdlib>

#include "image/open.h"
#include "machine/machine.h"
#include "pages/frame_scan.h"

namespace {

using namespace kvista;

void frame_scan(benchmark::State& state, bool find_zeros) {
  const char* path = std::getenv("KVISTA_BENCH_IMAGE");
  if (path == nullptr) {
    state.SkipWithError("KVISTA_BENCH_IMAGE names no image");
    return;
  }
  machine::Machine machine(image::open_image(path), {});
  const pages::FrameScan scan(machine, {1, find_zeros});
  uint64_t frames = 0;
  for (const PhysRange& range : scan.memory()) frames += range.size / 4096;
  for (auto _ : state)
    scan.run(
        [](const pages::FrameBlock& block, unsigned) { benchmark::DoNotOptimize(block.classes.data()); });
  state.counters["s_per_page"] =
      benchmark::Counter(static_cast<double>(frames),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(frame_scan, struct_pages, false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(frame_scan, with_zero_test, true)->Unit(benchmark::kMillisecond);

}  // namespace
