#include "image/elf_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/error.h"
#include "image/extent_image.h"
#include "image/own_note.h"

namespace kvista::image {
namespace {

// /proc/kcore gives -1 for what has no one physical address (its vmalloc area).
constexpr uint64_t kNoPhysicalAddress = UINT64_MAX;
constexpr uint64_t kAllLevels = 31;

bool has_physical_address(const ProgramHeader& ph, unsigned word_size) {
  return ph.paddr != kNoPhysicalAddress && !(word_size == 4 && ph.paddr == UINT32_MAX);
}

// Where no bit of e_flags has a meaning of the architecture's own, makedumpfile's mark is one.
bool has_no_flags(uint16_t machine) {
  constexpr std::array<uint16_t, 3> kWithout = {62, 183, 22};  // x86_64, arm64, s390
  return std::find(kWithout.begin(), kWithout.end(), machine) != kWithout.end();
}

// QEMU and libvirt write p_vaddr = p_paddr, or 0, when they dump without paging: that says nothing.
std::optional<VirtAddr> trusted_vaddr(const ProgramHeader& ph) {
  if (ph.vaddr == 0 || ph.vaddr == ph.paddr) return std::nullopt;
  return VirtAddr{ph.vaddr};
}

Extent extent_of(const ProgramHeader& ph, uint64_t size) {
  const uint64_t in_file = std::min(ph.file_size, ph.memory_size);
  const uint64_t rest = ph.offset < size ? size - ph.offset : 0;
  return {PhysAddr{ph.paddr}, ph.memory_size, in_file, std::min(in_file, rest), ph.offset};
}

// Bytes of memory seen through a second mapping: the kernel's text mapping beside the direct map. The direct
// map is the one distance from physical to virtual addresses that most memory has.
uint64_t count_aliased(std::span<const Segment> segments) {
  std::map<uint64_t, uint64_t> bytes_by_shift;
  uint64_t all = 0;
  uint64_t most = 0;
  for (const Segment& segment : segments) {
    if (!segment.vaddr || !segment.paddr) continue;
    all += segment.size;
    most = std::max(most, bytes_by_shift[segment.vaddr->value - segment.paddr->value] += segment.size);
  }
  return all - most;
}

class ElfImage final : public ExtentImage {
 public:
  ElfImage(File opened, ElfCore core) : ExtentImage(std::move(opened)) {
    traits_ = {file().path(), "ELF core", core.byte_order, core.word_size, core.machine, false};
    ElfMemory memory = map_segments(core, file().size());
    segments_ = std::move(memory.segments);
    warnings_ = std::move(memory.warnings);
    const auto own = find_own_note(file(), core);
    const bool incomplete = (core.flags & kElfIncomplete) != 0 && (own || has_no_flags(core.machine));
    if (own) {
      traits_.dump_level = static_cast<unsigned>(own->dump_level & kAllLevels);
      memory.extents = complete_extents(file(), core.byte_order, *own, memory.extents, incomplete, warnings_);
      // It speaks of this file alone.
      std::erase_if(core.notes,
                    [](const Note& note) { return note.name == kOwnNoteName && note.type == kOwnNoteType; });
    }
    if (const auto live = find_live_note(file(), core.notes, core.byte_order))
      warnings_.push_back(describe(*live));
    if (incomplete) warnings_.emplace_back("the dump is incomplete: its writer did not reach the end");
    set_extents(std::move(memory.extents));
    notes_ = std::move(core.notes);
    if (ram_.empty())
      throw FormatError(
          fmt::format("{}: an ELF core file that holds no memory by physical address", file().path()), 0);
  }
};

}  // namespace

bool lacks_physical_addresses(const ElfCore& core) {
  size_t loads = 0;
  for (const ProgramHeader& ph : core.program_headers) {
    if (ph.type != kPtLoad) continue;
    if (ph.paddr != 0) return false;
    ++loads;
  }
  return loads > 1;
}

ElfMemory map_segments(const ElfCore& core, uint64_t size) {
  ElfMemory memory;
  memory.warnings = core.warnings;
  std::vector<Extent> extents;
  size_t wrapped = 0;
  for (const ProgramHeader& ph : core.program_headers) {
    if (ph.type != kPtLoad || ph.memory_size == 0) continue;
    Segment segment{trusted_vaddr(ph), std::nullopt, ph.memory_size};
    if (has_physical_address(ph, core.word_size)) {
      if (!checked_add(ph.paddr, ph.memory_size) || !checked_add(ph.offset, ph.file_size)) {
        ++wrapped;
        continue;
      }
      segment.paddr = PhysAddr{ph.paddr};
      extents.push_back(extent_of(ph, size));
    }
    memory.segments.push_back(segment);
  }
  memory.extents = ExtentMap(std::move(extents));
  if (wrapped != 0)
    memory.warnings.push_back(
        fmt::format("{} around the end of the address space: left out, the headers are damaged",
                    wrapped == 1 ? "a segment wraps" : fmt::format("{} segments wrap", wrapped)));
  if (const uint64_t lost = count_lost(memory.extents); lost != 0)
    memory.warnings.push_back(describe_lost(lost));
  if (memory.extents.overlap() > 0) {
    const uint64_t aliased = count_aliased(memory.segments);
    if (memory.extents.overlap() > aliased)
      memory.warnings.push_back(
          fmt::format("segments overlap: {} bytes of memory are in the file more than once; the "
                      "segment that starts first is used",
                      memory.extents.overlap() - aliased));
  }
  return memory;
}

std::unique_ptr<MemoryImage> open_elf(File file) {
  ElfCore core = read_elf_core(file, file.size());
  if (lacks_physical_addresses(core))
    throw FormatError(
        fmt::format("{}: the core of a process (no physical addresses), not of a kernel", file.path()), 0);
  return std::make_unique<ElfImage>(std::move(file), std::move(core));
}

}  // namespace kvista::image
