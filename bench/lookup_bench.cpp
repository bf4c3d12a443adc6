// What is looked up once a command, or once a read: symbols, the note, the place of an address in a file.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <array>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "decode/kallsyms.h"
#include "image/extent_map.h"
#include "images/kallsyms_builder.h"
#include "kvista/vmcoreinfo.h"

namespace {

using namespace kvista;

constexpr uint64_t kText = 0xffffffff81000000;
constexpr uint64_t kNames = 0xffffffff82000000;
constexpr size_t kSymbols = 120'000;  // about what a distribution's kernel has

// A kernel's symbol tables, each at an address of its own.
class SymbolTables {
 public:
  SymbolTables() {
    std::vector<test::Symbol> symbols = {{"_stext", 'T', kText},
                                         {"page_offset_base", 'D', kText + kSymbols * 8}};
    for (size_t i = 0; i < kSymbols; ++i)
      symbols.push_back({fmt::format("symbol_{:x}_of_a_kernel", i * 2654435761U), 't', kText + 16 + i * 16});
    test::KallsymsTable table = test::encode_names(symbols, ByteOrder::little);
    add(tables_.names, std::move(table.names));
    add(tables_.num_syms, std::move(table.num_syms));
    add(tables_.token_table, std::move(table.token_table));
    add(tables_.token_index, std::move(table.token_index));
    add(tables_.offsets.emplace(),
        test::encode_addresses(symbols, test::SymbolEncoding::base_relative, 0, kText, ByteOrder::little, 8));
    std::vector<std::byte> base(8);
    store(base.data(), kText, ByteOrder::little);
    add(tables_.relative_base.emplace(), std::move(base));
  }

  const decode::KallsymsTables& tables() const { return tables_; }
  VirtReader reader() const {
    return [this](VirtAddr address, std::span<std::byte> out) -> size_t {
      const auto index = (address.value - kNames) / kStride;
      if (index >= parts_.size()) return 0;
      const auto& part = parts_[index];
      const uint64_t into = (address.value - kNames) % kStride;
      if (into >= part.size()) return 0;
      const size_t size = std::min(out.size(), part.size() - into);
      std::copy_n(part.begin() + static_cast<ptrdiff_t>(into), size, out.begin());
      return size;
    };
  }

 private:
  static constexpr uint64_t kStride = uint64_t{1} << 24;
  void add(VirtAddr& at, std::vector<std::byte> bytes) {
    at = VirtAddr{kNames + parts_.size() * kStride};
    parts_.push_back(std::move(bytes));
  }
  decode::KallsymsTables tables_;
  std::vector<std::vector<std::byte>> parts_;
};

// Opening the table and asking for three names, as a command does once.
void kallsyms_look_up(benchmark::State& state) {
  const SymbolTables tables;
  constexpr std::array<std::string_view, 3> kWanted = {"page_offset_base", "vmalloc_base", "vmemmap_base"};
  constexpr std::array kKnown = {decode::Kallsyms::Known{"_stext", VirtAddr{kText}}};
  for (auto _ : state) {
    const decode::Kallsyms kallsyms(tables.reader(), tables.tables(), ByteOrder::little, 8, kKnown);
    benchmark::DoNotOptimize(kallsyms.find(kWanted));
  }
  state.counters["s_per_symbol"] =
      benchmark::Counter(static_cast<double>(kSymbols),
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(kallsyms_look_up)->Unit(benchmark::kMillisecond);

// A note of a real one's size: about a hundred entries.
void vmcoreinfo_parse(benchmark::State& state) {
  std::string text = "OSRELEASE=6.12.0-amd64\nPAGESIZE=4096\nKERNELOFFSET=7a00000\n";
  for (unsigned i = 0; i < 25; ++i)
    text += fmt::format(
        "SYMBOL(symbol_{0})={1:x}\nSIZE(type_{0})={0}\nOFFSET(type.member_{0})={0}\nNUMBER(number_{0})=-{0}"
        "\n",
        i, kText + i);
  for (auto _ : state) benchmark::DoNotOptimize(vmcoreinfo::VmcoreInfo(text));
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}
BENCHMARK(vmcoreinfo_parse)->Unit(benchmark::kMicrosecond);

// 60,000 segments, about as many as an ELF header's count can hold, at scattered addresses.
void extent_map_find(benchmark::State& state) {
  constexpr uint64_t kExtents = 60'000;
  constexpr uint64_t kSize = uint64_t{1} << 20;
  std::vector<image::Extent> extents;
  for (uint64_t i = 0; i < kExtents; ++i)
    extents.push_back({PhysAddr{2 * kSize * i}, kSize, kSize, kSize, kSize * i});
  const image::ExtentMap map(std::move(extents));
  std::mt19937_64 random(1);
  std::vector<PhysAddr> addresses(4096);
  for (PhysAddr& address : addresses) address = PhysAddr{random() % (2 * kSize * kExtents)};
  size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(map.find(addresses[next++ % addresses.size()]));
}
BENCHMARK(extent_map_find);

}  // namespace
