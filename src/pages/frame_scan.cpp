#include "pages/frame_scan.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/parallel.h"
#include "pages/page_classifier.h"

namespace kvista::pages {
namespace {

using machine::Mapping;

// Struct pages and pages are read in pieces that stay in a core's own cache.
constexpr size_t kPiece = size_t{256} << 10;

// `ranges` without `holes`; both sorted and disjoint.
std::vector<PhysRange> subtract(std::span<const PhysRange> ranges, std::span<const PhysRange> holes) {
  std::vector<PhysRange> left;
  for (PhysRange range : ranges) {
    for (const PhysRange& hole : holes) {
      if (hole.end() <= range.start || hole.start >= range.end()) continue;
      if (hole.start > range.start) left.push_back({range.start, hole.start - range.start});
      const PhysAddr next = std::min(hole.end(), range.end());
      range = {next, range.end() - next};
    }
    if (range.size != 0) left.push_back(range);
  }
  return left;
}

machine::PhysRanges crash_kernel(machine::Machine& machine) {
  const auto& fact = machine.fact(machine::FactId::crashkernel);
  if (!fact.value) return {};
  return std::get<machine::PhysRanges>(*fact.value);
}

// Whole frames only: a frame that is partly RAM is the firmware's.
std::vector<PhysRange> whole_frames(std::vector<PhysRange> ranges, uint64_t page_size) {
  for (PhysRange& range : ranges) {
    const uint64_t first = (range.start.value + page_size - 1) & ~(page_size - 1);
    const uint64_t end = range.end().value & ~(page_size - 1);
    range = {PhysAddr{first}, end > first ? end - first : 0};
  }
  std::erase_if(ranges, [](const PhysRange& range) { return range.size == 0; });
  return ranges;
}

// The sections that hold any of `memory`. What an image claims beyond them costs nothing: a damaged header
// can claim any amount.
std::vector<Pfn> blocks_of(std::span<const PhysRange> memory, const MemoryMap& map) {
  std::vector<Pfn> blocks;
  blocks.reserve(map.sections.size());
  auto range = memory.begin();
  for (const Section& section : map.sections) {
    const PhysAddr start = phys_of(section.first, map.page_shift);
    while (range != memory.end() && range->end() <= start) ++range;
    if (range == memory.end()) break;
    if (range->start < start + (map.frames() << map.page_shift)) blocks.push_back(section.first);
  }
  return blocks;
}

// Stretches of a section's size that the image holds any of, and no section has.
std::vector<Pfn> other_blocks(std::span<const PhysRange> stored, const MemoryMap& map) {
  std::vector<Pfn> blocks;
  const uint64_t size = map.frames() << map.page_shift;
  for (const PhysRange& range : stored) {
    if (range.size == 0) continue;
    const uint64_t last = (range.end().value - 1) / size;
    for (uint64_t number = range.start.value / size; number <= last; ++number) {
      const Pfn first = pfn_of(PhysAddr{number * size}, map.page_shift);
      if (map.find(first) == nullptr && (blocks.empty() || blocks.back() != first)) blocks.push_back(first);
    }
  }
  return blocks;
}

}  // namespace

bool is_zero(std::span<const std::byte> bytes) {
  constexpr size_t kStep = 64;
  size_t at = 0;
  for (; at + kStep <= bytes.size(); at += kStep) {
    std::array<uint64_t, kStep / sizeof(uint64_t)> words;
    std::memcpy(words.data(), bytes.data() + at, kStep);
    uint64_t any = 0;
    for (const uint64_t word : words) any |= word;
    if (any != 0) return false;
  }
  return std::all_of(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.end(),
                     [](std::byte b) { return b == std::byte{0}; });
}

// What one thread has for itself.
struct FrameScan::Worker {
  Worker(const PageRules& rules, size_t frames) : classifier(rules), classes(frames), buffer(kPiece) {}
  PageClassifier classifier;
  std::vector<ClassByte> classes;
  std::vector<std::byte> buffer;
  image::Window window;
  ScanGaps gaps;
  uint64_t counted = 0;  // frames of memory that a section has
};

FrameScan::FrameScan(machine::Machine& machine, ScanOptions options)
    : image_(machine.image()),
      space_(machine.kernel_space()),
      options_(options),
      rules_(derive_page_rules(machine.note(), machine.number(machine::FactId::struct_page_size),
                               machine.byte_order())),
      map_(read_memory_map(machine)),
      memory_(whole_frames(
          subtract(image_.ram(), options.crash_kernel ? machine::PhysRanges{} : crash_kernel(machine)),
          map_.page_size())),
      blocks_(blocks_of(memory_, map_)) {
  if (!options.beyond_sections) return;
  const auto others = other_blocks(image_.stored(), map_);
  blocks_.insert(blocks_.end(), others.begin(), others.end());
  std::sort(blocks_.begin(), blocks_.end());
}

Pfn FrameScan::end() const {
  if (blocks_.empty() || memory_.empty()) return Pfn{0};
  return std::min(blocks_.back() + map_.frames(), pfn_of(memory_.back().end(), map_.page_shift));
}

ScanGaps FrameScan::run(const std::function<void(const FrameBlock&, unsigned)>& visit) const {
  std::vector<Worker> workers;
  // More threads than blocks have nothing to do, and buffers cost memory.
  const auto threads = static_cast<unsigned>(std::clamp<size_t>(blocks_.size(), 1, options_.threads));
  workers.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) workers.emplace_back(rules_, map_.frames());
  parallel_for(blocks_.size(), threads, [&](size_t item, unsigned number) {
    Worker& worker = workers.at(number);
    scan_block(blocks_[item], worker);
    visit({blocks_[item], worker.classes}, number);
  });
  ScanGaps gaps;
  for (const PhysRange& range : memory_) gaps.without_section += range.size >> map_.page_shift;
  for (const Worker& worker : workers) {
    gaps += worker.gaps;
    gaps.without_section -= worker.counted;
  }
  return gaps;
}

void FrameScan::classify(Pfn block, std::span<ClassByte> classes) const {
  Worker worker(rules_, map_.frames());
  scan_block(block, worker);
  std::copy(worker.classes.begin(), worker.classes.end(), classes.begin());
}

void FrameScan::scan_block(Pfn first, Worker& worker) const {
  std::fill(worker.classes.begin(), worker.classes.end(), to_byte(PageClass::no_struct_page));
  if (const Section* section = map_.find(first)) classify_section(*section, worker);
  keep_memory(first, worker);
  // A section has a memory map for all of its frames: what is missing of it is not in the image.
  if (map_.find(first) != nullptr)
    worker.gaps.without_struct += static_cast<uint64_t>(
        std::count(worker.classes.begin(), worker.classes.end(), to_byte(PageClass::no_struct_page)));
  if (options_.find_zeros) find_zeros(first, worker);
}

// Reads the section's struct pages piece by piece: run by run as the page tables map them, so that one read
// serves thousands of frames.
void FrameScan::classify_section(const Section& section, Worker& worker) const {
  const uint64_t size = map_.struct_size;
  const uint64_t most = kPiece / size / 2 * 2;  // even: no head is parted from the page that tells its order
  worker.classifier.reset();
  enter_run(section, worker);
  const auto classify_piece = [&](uint64_t first, uint64_t count, const auto& read) {
    const std::span<const std::byte> piece = read(count * size);
    const uint64_t got = piece.size() / size;
    worker.classifier.classify(section.first + first, piece.first(got * size),
                               std::span(worker.classes).subspan(first, got));
  };
  if (map_.page_size() % size != 0) {
    // Struct pages that straddle pages: rare configurations, read through the address space.
    for (uint64_t first = 0; first < map_.frames(); first += most)
      classify_piece(first, std::min(most, map_.frames() - first),
                     [&](size_t bytes) -> std::span<const std::byte> {
                       const auto piece = std::span(worker.buffer).first(bytes);
                       return piece.first(space_.read(section.map + first * size, piece).done);
                     });
    return;
  }
  for (const Mapping& run : space_.mappings({section.map, section.map + (map_.frames() * size - 1)})) {
    const uint64_t begin = (run.virt - section.map) / size;
    const uint64_t end = begin + run.size / size;
    for (uint64_t first = begin; first < end; first += most)
      classify_piece(first, std::min(most, end - first), [&](size_t bytes) {
        return image_.view(run.phys + (first - begin) * size, bytes, worker.window).bytes;
      });
  }
}

// A compound page may have begun in a section before: then this section's first struct page is inside of it.
void FrameScan::enter_run(const Section& section, Worker& worker) const {
  const auto pair = std::span(worker.buffer).first(2 * size_t{map_.struct_size});
  if (space_.read(section.map, pair).done != pair.size()) return;
  if (!worker.classifier.maybe_inside(section.first, pair)) return;
  for (unsigned order = map_.section_shift + 1; order < map_.section_shift + 10; ++order) {
    const Pfn head{section.first.value >> order << order};
    const Section* at = head == section.first ? nullptr : map_.find(head);
    if (at == nullptr || space_.read(at->map, pair).done != pair.size()) continue;
    const auto run = worker.classifier.run_at(head, pair);
    if (run && run->end > section.first) {
      worker.classifier.enter(*run);
      return;
    }
  }
}

// Frames that are not counted: holes between RAM, and the crash kernel's memory.
void FrameScan::keep_memory(Pfn first, Worker& worker) const {
  const Pfn end = first + worker.classes.size();
  const bool has_section = map_.find(first) != nullptr;
  Pfn next = first;  // the first frame not yet decided
  const auto drop_to = [&](Pfn to) {
    for (; next < to; next = next + 1) worker.classes[next - first] = to_byte(PageClass::not_in_image);
  };
  auto range = std::upper_bound(memory_.begin(), memory_.end(), phys_of(first, map_.page_shift),
                                [](PhysAddr at, const PhysRange& r) { return at < r.end(); });
  for (; range != memory_.end() && pfn_of(range->start, map_.page_shift) < end; ++range) {
    drop_to(std::min(pfn_of(range->start, map_.page_shift), end));
    const Pfn kept_to = std::max(next, std::min(pfn_of(range->end(), map_.page_shift), end));
    if (has_section) worker.counted += kept_to - next;
    next = kept_to;
  }
  drop_to(end);
}

// Reads the frames of kern_data, as many at a time as stand together.
void FrameScan::find_zeros(Pfn first, Worker& worker) const {
  auto& classes = worker.classes;
  const unsigned shift = map_.page_shift;
  const size_t page_size = map_.page_size();
  const auto is_candidate = [&](size_t i) { return class_of(classes[i]) == PageClass::kern_data; };
  for (size_t i = 0; i < classes.size();) {
    if (!is_candidate(i)) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < classes.size() && end - i < kPiece >> shift && is_candidate(end)) ++end;
    const auto view = image_.view(phys_of(first + i, shift), (end - i) << shift, worker.window);
    const size_t got = view.bytes.size() >> shift;
    for (size_t k = 0; k < got; ++k)
      if (is_zero(view.bytes.subspan(k << shift, page_size)))
        classes[i + k] = static_cast<ClassByte>((classes[i + k] & 0xf0U) | to_byte(PageClass::zero));
    if (got < end - i && view.state != image::PageState::present) {
      // The next frame is not there; go on behind it.
      ++worker.gaps.unread_by_state.at(static_cast<size_t>(view.state));
      end = i + got + 1;
    }
    i = end;
  }
}

}  // namespace kvista::pages
