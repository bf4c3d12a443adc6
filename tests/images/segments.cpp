#include "images/segments.h"

#include <algorithm>
#include <utility>

namespace kvista::test {
namespace {

constexpr uint64_t kNoPhysicalAddress = UINT64_MAX;
constexpr uint64_t kVsyscall = 0xffffffffff600000;
constexpr uint64_t kEntryArea = 0xfffffe0000001000;  // CPU_ENTRY_AREA_PER_CPU

// RAM without the crash kernel's part, which /proc/vmcore lacks.
std::vector<Range> without(std::vector<Range> ranges, const std::vector<Range>& holes) {
  for (const Range& hole : holes) {
    std::vector<Range> left;
    for (const Range& range : ranges) {
      if (hole.start > range.start) left.push_back({range.start, std::min(range.end, hole.start)});
      if (hole.end < range.end) left.push_back({std::max(range.start, hole.end), range.end});
      if (hole.end <= range.start || hole.start >= range.end) left.back() = range;
    }
    ranges = left;
  }
  return ranges;
}

// The segments of one image.
class Segments {
 public:
  explicit Segments(const Kernel& kernel) : kernel_(kernel), line_(kernel.description().segments) {}

  std::vector<ElfSegment> take() {
    switch (line_.style) {
      case SegmentStyle::qemu:
        add_ram(kernel_.description().ram);
        break;
      case SegmentStyle::vmcore:
        if (line_.text) add_text();
        add_ram(without(kernel_.description().ram, kernel_.description().crashkernel));
        break;
      case SegmentStyle::kcore:
        add_kcore();
        break;
    }
    return std::move(segments_);
  }

 private:
  SegmentData memory(Range range) const {
    return [this_memory = &kernel_.memory(), range](const Emit& emit) {
      this_memory->for_each(
          range, [&](uint64_t at, std::span<const std::byte> bytes) { emit(at - range.start, bytes); });
    };
  }

  void add(uint64_t vaddr, Range range) {
    ElfSegment segment;
    segment.vaddr = vaddr;
    segment.paddr = range.start;
    segment.memory_size = range.end - range.start;
    segment.data = memory(range);
    segments_.push_back(std::move(segment));
  }

  void add_text() {
    const uint64_t phys = kernel_.image_phys(kernel_.text());
    add(line_.text_vaddr.value_or(kernel_.text()), {phys, phys + kImageSize});
  }

  // Memory of which the headers name no physical address; its bytes are not in the file.
  void add_virtual(uint64_t vaddr, uint64_t size) {
    ElfSegment segment;
    segment.vaddr = vaddr;
    segment.paddr = kNoPhysicalAddress;
    segment.memory_size = size;
    segment.in_file = false;
    segments_.push_back(std::move(segment));
  }

  uint64_t ram_vaddr(const Range& range) const {
    if (line_.style == SegmentStyle::qemu) return line_.vaddr_is_paddr ? range.start : 0;
    if (!line_.ram_vaddr) return 0;
    return line_.page_offset ? *line_.page_offset + range.start : kernel_.direct(range.start);
  }

  void add_ram(const std::vector<Range>& ranges) {
    if (!line_.ram) return;
    for (const Range& range : ranges) {
      add(ram_vaddr(range), range);
      if (line_.style == SegmentStyle::kcore && line_.vmemmap) add_memory_map(range);
    }
  }

  // get_sparsemem_vmemmap_info() of fs/proc/kcore.c.
  void add_memory_map(const Range& range) {
    const uint64_t size = kernel_.description().page_struct_size;
    const uint64_t base = line_.vmemmap_start.value_or(kernel_.vmemmap());
    const uint64_t page = kernel_.page_size();
    const uint64_t start = (base + range.start / page * size) / page * page;
    const uint64_t end = (base + range.end / page * size + page - 1) / page * page;
    add_virtual(start, end - start);
  }

  // In the order of the kernel's list: vsyscall page, text, vmalloc, modules, RAM.
  void add_kcore() {
    if (kernel_.description().machine.architecture != &kX86)
      throw DescriptionError("segments kcore: only of x86_64");
    if (line_.vsyscall) add_virtual(kVsyscall, kPage);
    if (line_.text) add_text();
    const KernelAddresses& at = kernel_.addresses();
    if (line_.vmalloc)
      add_virtual(line_.vmalloc_start.value_or(at.vmalloc.start), at.vmalloc.end - at.vmalloc.start);
    const uint64_t modules = line_.modules_start.value_or(at.modules.start);
    if (line_.modules) add_virtual(modules, at.modules.end - modules);
    add_ram(kernel_.description().ram);
    // 4.19 and 4.20: _entry_trampoline as it is seen from each CPU's entry area.
    const uint64_t trampoline = kernel_.image_phys(kernel_.text()) + 0xa00000 % kImageSize / kPage * kPage;
    for (unsigned cpu = 0; cpu < line_.remap; ++cpu)
      add(kEntryArea + uint64_t{cpu} * 0x2c000, {trampoline, trampoline + kPage});
  }

  const Kernel& kernel_;
  const SegmentsLine& line_;
  std::vector<ElfSegment> segments_;
};

}  // namespace

std::vector<ElfSegment> segments_of(const Kernel& kernel) {
  return Segments(kernel).take();
}

}  // namespace kvista::test
