// Reading all pages of a kdump-compressed file, beside its codec alone on the same pages: the difference is
// what bitmaps, descriptors and the file cost. Pages are those of KVISTA_BENCH_IMAGE, or made up.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>

#include "base/file.h"
#include "base/parallel.h"
#include "codec/codec.h"
#include "image/kdump_image.h"
#include "image/open.h"
#include "images/compress.h"
#include "images/kdump_builder.h"
#include "pages/frame_scan.h"

namespace {

using namespace kvista;
using codec::Codec;

constexpr size_t kPage = 4096;
constexpr uint64_t kPages = 16384;
constexpr size_t kPieceOfPages = 512;

using Page = std::array<std::byte, kPage>;

// Words of few kinds, as kernels and programs keep: zlib packs them to about a third.
Page made_up_page(uint64_t number) {
  Page page;
  uint64_t state = number + 1;
  for (std::byte& byte : page) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<std::byte>((state >> 60 & 7) * (state >> 40 & 1));
  }
  return page;
}

// Pages that are not zero, from all over the image.
std::vector<Page> pages_of(const image::MemoryImage& image) {
  uint64_t all = 0;
  for (const PhysRange& range : image.ram()) all += range.size / kPage;
  const uint64_t step = std::max<uint64_t>(1, all / (4 * kPages));
  std::vector<Page> pages;
  for (const PhysRange& range : image.ram()) {
    for (uint64_t at = 0; at + kPage <= range.size && pages.size() < kPages; at += step * kPage) {
      Page page;
      if (image.read(range.start + at, page).done == kPage && !pages::is_zero(page)) pages.push_back(page);
    }
  }
  return pages;
}

const std::vector<Page>& all_pages() {
  static const std::vector<Page> kAll = [] {
    const char* path = std::getenv("KVISTA_BENCH_IMAGE");
    std::vector<Page> pages;
    if (path != nullptr) pages = pages_of(*image::open_image(path));
    while (pages.size() < kPages) pages.push_back(made_up_page(pages.size()));
    return pages;
  }();
  return kAll;
}

// The pages as the codec packs them, and a file with them.
struct Packed {
  explicit Packed(Codec with) : codec(with) {
    test::KdumpDescription kdump;
    kdump.codecs = {codec};
    kdump.max_mapnr = kPages;
    for (uint64_t pfn = 0; pfn < kPages; ++pfn) kdump.memory.insert(pfn);
    kdump.page = [](uint64_t pfn) {
      const Page& page = all_pages().at(pfn);
      return std::vector<std::byte>(page.begin(), page.end());
    };
    write(test::kdump_bytes(kdump));
    for (const Page& page : all_pages()) {
      pages.push_back(test::compress(codec, page));
      // Those that a codec makes larger stand in the file as they are.
      if (pages.back().size() >= kPage) pages.back().assign(page.begin(), page.end());
    }
  }
  void write(std::span<const std::byte> bytes) {
    const int fd = memfd_create("kvista-bench", MFD_CLOEXEC);
    if (fd < 0 || ::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("a file in memory cannot be written");
    image = image::open_kdump(File::open("/proc/self/fd/" + std::to_string(fd)));
    ::close(fd);
  }
  Codec codec;
  std::unique_ptr<image::MemoryImage> image;
  std::vector<std::vector<std::byte>> pages;
};

const Packed& packed(Codec codec) {
  static std::map<Codec, Packed> all;
  return all.try_emplace(codec, codec).first->second;
}

void finish(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kPages * kPage));
  state.counters["s_per_page"] =
      benchmark::Counter(kPages, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void codec_alone(benchmark::State& state, Codec codec, unsigned threads) {
  const Packed& from = packed(codec);
  std::vector<std::vector<std::byte>> out(threads, std::vector<std::byte>(kPieceOfPages * kPage));
  for (auto _ : state) {
    parallel_for(kPages / kPieceOfPages, threads, [&](size_t piece, unsigned worker) {
      for (size_t i = 0; i < kPieceOfPages; ++i) {
        const auto page = std::span(out[worker]).subspan(i * kPage, kPage);
        const auto& bytes = from.pages[piece * kPieceOfPages + i];
        if (bytes.size() == kPage)
          std::copy(bytes.begin(), bytes.end(), page.begin());
        else if (!codec::decompress_exactly(codec, bytes, page))
          std::abort();
      }
      benchmark::DoNotOptimize(out[worker].data());
    });
  }
  finish(state);
}

void whole_image(benchmark::State& state, Codec codec, unsigned threads) {
  const Packed& from = packed(codec);
  std::vector<image::Window> windows(threads);
  for (auto _ : state) {
    parallel_for(kPages / kPieceOfPages, threads, [&](size_t piece, unsigned worker) {
      const size_t size = kPieceOfPages * kPage;
      const auto view = from.image->view(PhysAddr{piece * size}, size, windows[worker]);
      if (view.bytes.size() != size) std::abort();
      benchmark::DoNotOptimize(view.bytes.data());
    });
  }
  finish(state);
}

const bool kRegistered = [] {
  for (const Codec codec : {Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd}) {
    if (!codec::is_available(codec)) continue;
    for (const bool all : {false, true}) {
      const unsigned threads = all ? default_threads() : 1;
      const std::string name =
          std::string("kdump/") + codec::describe(codec) + (all ? "/all_cores/" : "/one_core/");
      benchmark::RegisterBenchmark((name + "codec").c_str(), codec_alone, codec, threads)->UseRealTime();
      benchmark::RegisterBenchmark((name + "image").c_str(), whole_image, codec, threads)->UseRealTime();
    }
  }
  return true;
}();

}  // namespace
