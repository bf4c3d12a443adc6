// The array of struct page, and the nodes with their zones.
#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "images/kernel.h"
#include "images/struct_page.h"

namespace kvista::test {
namespace {

constexpr uint64_t kTwoMiB = uint64_t{2} << 20;
constexpr uint64_t kDmaEnd = uint64_t{16} << 20;
constexpr uint64_t kDma32End = uint64_t{4} << 30;
constexpr unsigned kMaxOrder = 11;

struct Zone {
  const char* name;
  Range range;
};
constexpr std::array kZones = {Zone{"DMA", {0, kDmaEnd}}, Zone{"DMA32", {kDmaEnd, kDma32End}},
                               Zone{"Normal", {kDma32End, UINT64_MAX}}};

class MapBuilder {
 public:
  explicit MapBuilder(Kernel& kernel)
      : kernel_(kernel), size_(kernel.description().page_struct_size), page_(kernel.page_size()) {}

  void run() {
    const uint64_t repeat = kernel_.description().memory_map_repeat;
    if (repeat != 0) {
      stretch_ = kernel_.allocate(repeat * kTwoMiB, kTwoMiB);
      stretch_pages_ = repeat * kTwoMiB / size_;
    }
    for_each_section([&](uint64_t first, uint64_t last) { map_frames(first, last); });
    reserve_nodes();
    // Now all that the builder takes is taken.
    if (repeat != 0)
      write_frames(0, stretch_pages_ - 1);
    else
      for_each_section([&](uint64_t first, uint64_t last) { write_frames(first, last); });
    for (const NodeLine& node : nodes_) write_node(node);
  }

 private:
  void for_each_section(const std::function<void(uint64_t first, uint64_t last)>& visit) {
    const uint64_t frames = uint64_t{1} << (kernel_.section_bits() - kernel_.page_shift());
    uint64_t next = 0;
    for (const Range& range : kernel_.description().ram)
      for (uint64_t first = std::max(next, range.start / page_ / frames * frames); first < range.end / page_;
           first += frames) {
        visit(first, first + frames - 1);
        next = first + frames;
      }
  }

  // Maps the struct pages of frames [first, last].
  void map_frames(uint64_t first, uint64_t last) {
    const uint64_t start = (kernel_.vmemmap() + first * size_) / kTwoMiB * kTwoMiB;
    const uint64_t end = kernel_.vmemmap() + (last + 1) * size_;
    for (uint64_t virt = start; virt < end; virt += kTwoMiB) {
      if (leaves_.contains(virt)) continue;
      const uint64_t index = (virt - kernel_.vmemmap()) / kTwoMiB;
      const uint64_t phys = stretch_pages_ != 0
                                ? stretch_ + index % kernel_.description().memory_map_repeat * kTwoMiB
                                : kernel_.allocate(kTwoMiB, kTwoMiB);
      leaves_[virt] = phys;
      kernel_.tables().map(virt, phys, kTwoMiB, kernel_.description().memory_map_leaf);
    }
  }

  void write_virtual(uint64_t virt, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const uint64_t into = virt % kTwoMiB;
      const auto part = bytes.first(std::min<uint64_t>(bytes.size(), kTwoMiB - into));
      kernel_.memory().write(leaves_.at(virt - into) + into, part);
      virt += part.size();
      bytes = bytes.subspan(part.size());
    }
  }

  uint64_t place_flags(uint64_t pfn) const {
    const auto node = std::find_if(nodes_.begin(), nodes_.end(), [&](const NodeLine& line) {
      return std::any_of(line.ranges.begin(), line.ranges.end(),
                         [&](const Range& range) { return range.contains(pfn * page_); });
    });
    const uint64_t id = node == nodes_.end() ? 0 : node->id;
    const auto zone =
        static_cast<uint64_t>(std::find_if(kZones.begin(), kZones.end(),
                                           [&](const Zone& z) { return z.range.contains(pfn * page_); }) -
                              kZones.begin());
    return id << 54 | zone << 51;
  }

  void write_frames(uint64_t first, uint64_t last) {
    for (uint64_t pfn = first; pfn <= last; ++pfn) {
      const PageRun run = class_of(kernel_, pfn);
      const uint64_t into = (pfn - std::min(run.first, pfn)) & (bit(run.order) - 1);
      write_virtual(kernel_.vmemmap() + pfn * size_,
                    struct_page(kernel_, run, {pfn - into, into, place_flags(pfn)}));
    }
  }

  void reserve_nodes() {
    nodes_ = kernel_.description().nodes;
    if (nodes_.empty()) nodes_.push_back({0, kernel_.description().ram});
    for (const NodeLine& node : nodes_) {
      if (node.id >= kMaxNodes || node.ranges.empty())
        throw DescriptionError("node: no such node, or no memory");
      pglists_[node.id] = kernel_.allocate(kernel_.layout().zones.pglist_data);
    }
  }

  // Blocks of free pages by node, zone and order, as the struct pages have them.
  uint64_t count_free(const NodeLine& node, const Zone& zone, unsigned order) const {
    uint64_t count = 0;
    const auto counts = [&](uint64_t pfn) {
      const bool in_node = std::any_of(node.ranges.begin(), node.ranges.end(),
                                       [&](const Range& range) { return range.contains(pfn * page_); });
      return in_node && zone.range.contains(pfn * page_);
    };
    const uint64_t step = stretch_pages_ == 0 ? kernel_.max_pfn() : stretch_pages_;
    for (const PageRun& run : kernel_.description().pages) {
      if (run.kind != "buddy" || run.order != order) continue;
      for (uint64_t pfn = run.first; pfn <= run.last; pfn += bit(order)) {
        const PageRun shown = class_of(kernel_, pfn);
        if (shown.kind != run.kind || shown.first != run.first) continue;  // a later line is about this frame
        for (uint64_t repeated = pfn; repeated < kernel_.max_pfn(); repeated += step)
          count += counts(repeated) ? 1 : 0;
      }
    }
    for (const ZoneLie& lie : kernel_.description().zone_lies)
      if (lie.node == node.id && lie.zone == zone.name && lie.order == order)
        count += static_cast<uint64_t>(lie.add);
    return count;
  }

  void write_zone(const NodeLine& node, const Zone& zone, uint64_t at) {
    const ZoneLayout& layout = kernel_.layout().zones;
    uint64_t start = UINT64_MAX;
    uint64_t end = 0;
    uint64_t present = 0;
    for (const Range& range : node.ranges) {
      const uint64_t from = std::max(range.start, zone.range.start);
      const uint64_t to = std::min(range.end, zone.range.end);
      if (from >= to) continue;
      start = std::min(start, from / page_);
      end = std::max(end, to / page_);
      present += (to - from) / page_;
    }
    if (end == 0) return;
    PhysicalMemory& memory = kernel_.memory();
    memory.put64(at + layout.spanned_pages - 16, start);
    memory.put64(at + layout.spanned_pages - 8, present);  // managed
    memory.put64(at + layout.spanned_pages, end - start);
    memory.put64(at + layout.spanned_pages + 8, present);
    uint64_t free_pages = 0;
    for (unsigned order = 0; order < kMaxOrder; ++order) {
      const uint64_t blocks = count_free(node, zone, order);
      memory.put64(at + layout.free_area_offset + order * layout.free_area + layout.migrate_types * 16,
                   blocks);
      free_pages += blocks << order;
    }
    memory.put64(at + layout.vm_stat, free_pages);  // NR_FREE_PAGES = 0
  }

  void write_node(const NodeLine& node) {
    const ZoneLayout& layout = kernel_.layout().zones;
    PhysicalMemory& memory = kernel_.memory();
    const uint64_t at = pglists_.at(node.id);
    uint64_t start = UINT64_MAX;
    uint64_t end = 0;
    for (const Range& range : node.ranges) {
      start = std::min(start, range.start / page_);
      end = std::max(end, range.end / page_);
    }
    for (size_t i = 0; i < kZones.size(); ++i) write_zone(node, kZones.at(i), at + i * layout.zone);
    memory.put32(at + layout.nr_zones, static_cast<uint32_t>(kZones.size()));
    memory.put64(at + layout.node_start_pfn, start);
    memory.put64(at + layout.node_spanned_pages, end - start);
    memory.put32(at + layout.node_id, node.id);
    kernel_.put64(kernel_.symbol("node_data") + uint64_t{node.id} * 8, kernel_.direct(at));
    const uint64_t map = kernel_.image_phys(kernel_.symbol("node_online_map")) + uint64_t{node.id} / 64 * 8;
    memory.put64(map, memory.get64(map) | bit(node.id % 64));
  }

  Kernel& kernel_;
  uint64_t size_;  // of a struct page
  uint64_t page_;  // of a page
  uint64_t stretch_ = 0;
  uint64_t stretch_pages_ = 0;
  std::map<uint64_t, uint64_t> leaves_;
  std::vector<NodeLine> nodes_;
  std::map<unsigned, uint64_t> pglists_;
};

}  // namespace

PageRun class_of(const Kernel& kernel, uint64_t pfn) {
  const Description& description = kernel.description();
  const bool repeats = description.memory_map_repeat != 0;
  if (repeats) pfn %= description.memory_map_repeat * kTwoMiB / description.page_struct_size;
  const auto& runs = description.pages;
  const auto run = std::find_if(runs.rbegin(), runs.rend(),
                                [&](const PageRun& r) { return pfn >= r.first && pfn <= r.last; });
  if (run != runs.rend()) return *run;
  PageRun one;
  one.first = one.last = pfn;
  if (!repeats && !kernel.is_ram(pfn * kernel.page_size()))
    one.kind = "hole";
  else if (!repeats && kernel.used().contains(pfn * kernel.page_size()))
    one.kind = "reserved";
  return one;
}

void build_memory_map(Kernel& kernel) {
  MapBuilder(kernel).run();
}

}  // namespace kvista::test
