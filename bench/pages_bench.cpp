// The loops that see every page: classification of struct pages, and the zero test.
#include <benchmark/benchmark.h>

#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "kvista/vmcoreinfo.h"
#include "pages/frame_scan.h"
#include "pages/page_classifier.h"
#include "pages/page_rules.h"

namespace {

using namespace kvista;

// What a 6.12 kernel exports about struct page.
constexpr const char* kNote =
    "SIZE(page)=64\nOFFSET(page.flags)=0\nOFFSET(page._refcount)=52\nOFFSET(page.mapping)=24\n"
    "OFFSET(page.lru)=8\nOFFSET(page._mapcount)=48\nOFFSET(page.private)=40\nOFFSET(page.compound_head)=8\n"
    "LENGTH(zone.free_area)=11\nNUMBER(PG_lru)=5\nNUMBER(PG_private)=14\nNUMBER(PG_swapcache)=10\n"
    "NUMBER(PG_swapbacked)=17\nNUMBER(PG_hwpoison)=20\nNUMBER(PG_head_mask)=64\n"
    "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-268435456\nNUMBER(PAGE_SLAB_MAPCOUNT_VALUE)=-184549376\n"
    "NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592\nNUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-251658240\n";

constexpr size_t kStructSize = 64;
constexpr uint64_t kLru = 1 << 5;
constexpr uint64_t kHead = 1 << 6;
constexpr uint64_t kSwapBacked = 1 << 17;
constexpr uint64_t kAnonMapping = 0xffff888100000001;
constexpr uint64_t kFileMapping = 0xffff888100000000;
constexpr uint32_t kBuddy = 0xf0000000;
constexpr uint32_t kSlab = 0xf5000000;
constexpr uint32_t kNoType = 0xffffffff;

// Struct pages in the making.
class StructPages {
 public:
  explicit StructPages(size_t frames) : bytes_(frames * kStructSize) {}

  size_t at() const { return next_; }
  bool full() const { return next_ == bytes_.size() / kStructSize; }
  void add(uint64_t flags, uint64_t mapping, uint32_t type, uint64_t priv = 0, uint64_t compound = 0) {
    if (full()) return;
    std::byte* page = bytes_.data() + kStructSize * next_++;
    std::memcpy(page, &flags, sizeof flags);
    std::memcpy(page + 8, &compound, sizeof compound);
    std::memcpy(page + 24, &mapping, sizeof mapping);
    std::memcpy(page + 40, &priv, sizeof priv);
    std::memcpy(page + 48, &type, sizeof type);
  }
  // A compound page; `order` must suit the place.
  void add_compound(unsigned order, uint64_t flags, uint64_t mapping, uint32_t type) {
    add(flags | kHead, mapping, type);
    for (size_t i = 1; i < size_t{1} << order; ++i) add(i == 1 ? order : 0, 0, kNoType, 0, kFileMapping | 1);
  }
  void add_free(unsigned order) {
    add(0, 0, kBuddy, order);
    for (size_t i = 1; i < size_t{1} << order; ++i) add(0, 0, kNoType);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
  size_t next_ = 0;
};

// A random order up to `most` that suits the next frame.
unsigned order_here(const StructPages& pages, std::minstd_rand& random, unsigned most) {
  unsigned order = random() % (most + 1);
  while ((pages.at() & ((size_t{1} << order) - 1)) != 0) --order;
  return order;
}

void add_free_heavy(StructPages& pages, std::minstd_rand& random) {
  if (random() % 8 == 0)
    pages.add(0, 0, kNoType);
  else
    pages.add_free(order_here(pages, random, 10));
}

void add_anon_heavy(StructPages& pages, std::minstd_rand& random) {
  const bool huge_fits = (pages.at() & 511) == 0;
  if (huge_fits && random() % 2 == 0)
    pages.add_compound(9, kLru | kSwapBacked, kAnonMapping, 0);
  else if (random() % 8 == 0)
    pages.add(kLru, kFileMapping, kNoType);
  else
    pages.add(kLru | kSwapBacked, kAnonMapping, 0);
}

void add_slab_heavy(StructPages& pages, std::minstd_rand& random) {
  const unsigned order = order_here(pages, random, 3);
  if (random() % 4 == 0)
    pages.add(0, 0, kNoType);
  else if (order == 0)
    pages.add(0, 0, kSlab);
  else
    pages.add_compound(order, 0, 0, kSlab);
}

using Mix = void (*)(StructPages&, std::minstd_rand&);

// The struct pages of state.range(0) frames: 4,096 stay in a core's own cache, as the scan's pieces do.
void classify(benchmark::State& state, Mix mix) {
  const auto frames = static_cast<size_t>(state.range(0));
  StructPages pages(frames);
  std::minstd_rand random(1);
  while (!pages.full()) mix(pages, random);
  const auto structs = pages.take();
  std::vector<pages::ClassByte> classes(frames);
  pages::PageClassifier classifier(pages::derive_page_rules(vmcoreinfo::VmcoreInfo(kNote)));
  for (auto _ : state) {
    classifier.reset();
    classifier.classify(Pfn{0}, structs, classes);
    benchmark::DoNotOptimize(classes.data());
    benchmark::ClobberMemory();
  }
  state.counters["s_per_page"] =
      benchmark::Counter(static_cast<double>(frames),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(classify, free_heavy, add_free_heavy)->Arg(4096)->Arg(1 << 20);
BENCHMARK_CAPTURE(classify, anon_heavy, add_anon_heavy)->Arg(4096)->Arg(1 << 20);
BENCHMARK_CAPTURE(classify, slab_heavy, add_slab_heavy)->Arg(4096)->Arg(1 << 20);

constexpr size_t kPage = 4096;

// Pages that are zero up to their last byte are read to the end; most others end the test in their first
// words.
void zero_test(benchmark::State& state, bool zero) {
  std::vector<std::byte> bytes(size_t{256} << 10, zero ? std::byte{0} : std::byte{1});
  for (auto _ : state)
    for (size_t at = 0; at < bytes.size(); at += kPage)
      benchmark::DoNotOptimize(pages::is_zero(std::span(bytes).subspan(at, kPage)));
  if (zero) state.SetBytesProcessed(static_cast<int64_t>(bytes.size()) * state.iterations());
  state.counters["s_per_page"] =
      benchmark::Counter(static_cast<double>(bytes.size() / kPage),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(zero_test, zero_pages, true);
BENCHMARK_CAPTURE(zero_test, full_pages, false);

}  // namespace
