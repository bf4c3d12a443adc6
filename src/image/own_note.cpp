#include "image/own_note.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/cursor.h"

namespace kvista::image {
namespace {

constexpr uint64_t kVersion = 1;
// States in the tables.
constexpr uint64_t kMemory = 0;
constexpr uint64_t kExcluded = 1;
constexpr uint64_t kLost = 2;

void append(std::vector<std::byte>& bytes, uint64_t number, ByteOrder order) {
  bytes.resize(bytes.size() + 8);
  store(&bytes[bytes.size() - 8], number, order);
}

uint64_t to_number(PageState state) {
  switch (state) {
    case PageState::present:
      return kMemory;
    case PageState::excluded:
      return kExcluded;
    default:
      return kLost;
  }
}

PageState to_state(uint64_t number) {
  return number == kMemory ? PageState::present : number == kExcluded ? PageState::excluded : PageState::lost;
}

// A table's entries, as far as they are in the file and make sense; in order and disjoint.
std::vector<MissingRange> read_table(const File& file, ByteOrder order, const FilePart& part,
                                     const char* what, std::vector<std::string>& warnings) {
  std::vector<MissingRange> ranges;
  const uint64_t rest = part.offset < file.size() ? file.size() - part.offset : 0;
  std::vector<std::byte> bytes(std::min(part.size, rest) / kMissingRangeSize * kMissingRangeSize);
  bytes.resize(file.read_at(part.offset, bytes) / kMissingRangeSize * kMissingRangeSize);
  Cursor in(bytes, order);
  PhysAddr last{0};
  bool is_sound = bytes.size() == part.size;
  for (uint64_t i = 0; i < bytes.size() / kMissingRangeSize; ++i) {
    const PhysRange range{PhysAddr{in.u64()}, in.u64()};
    const PageState state = to_state(in.u64());
    if (range.size == 0 || range.start < last || !checked_add(range.start.value, range.size)) {
      is_sound = false;
      break;
    }
    last = range.end();
    ranges.push_back({range, state});
  }
  if (!is_sound)
    warnings.push_back(fmt::format("the table of {} at {:#x} is damaged: {} of its {} entries are used", what,
                                   part.offset, ranges.size(), part.size / kMissingRangeSize));
  return ranges;
}

Extent not_held(PhysAddr from, PhysAddr to, PageState state) {
  return {from, to - from, 0, 0, 0, state};
}

// The part [from, to) of an extent.
Extent part_of(const Extent& extent, PhysAddr from, PhysAddr to) {
  Extent part = extent;
  const uint64_t skip = from - extent.start;
  const auto left = [&](uint64_t size) { return std::min(size > skip ? size - skip : 0, to - from); };
  part.start = from;
  part.size = to - from;
  part.file_size = left(extent.file_size);
  part.available = left(extent.available);
  part.offset += skip;
  return part;
}

// Adds an extent without what `missing` says of its memory.
void add_held(const Extent& extent, std::span<const MissingRange> missing, std::vector<Extent>& all) {
  auto hole = std::partition_point(missing.begin(), missing.end(),
                                   [&](const MissingRange& one) { return one.range.end() <= extent.start; });
  PhysAddr at = extent.start;
  for (; hole != missing.end() && hole->range.start < extent.end(); ++hole) {
    if (hole->range.start > at) all.push_back(part_of(extent, at, hole->range.start));
    at = std::max(at, std::min(hole->range.end(), extent.end()));
  }
  if (at < extent.end()) all.push_back(part_of(extent, at, extent.end()));
}

// Fills what is left of a range of memory. `all` is sorted and disjoint, and its first `known` are looked at.
void fill_gaps(const PhysRange& memory, PhysAddr end_of_segments, bool incomplete, const ExtentMap& known,
               std::vector<Extent>& all) {
  const auto extents = known.extents();
  auto next = std::partition_point(extents.begin(), extents.end(),
                                   [&](const Extent& extent) { return extent.end() <= memory.start; });
  const auto fill = [&](PhysAddr from, PhysAddr to) {
    const PhysAddr cut = incomplete ? std::clamp(end_of_segments, from, to) : to;
    if (from < cut) all.push_back(not_held(from, cut, PageState::excluded));
    if (cut < to) all.push_back(not_held(cut, to, PageState::lost));
  };
  PhysAddr at = memory.start;
  for (; next != extents.end() && next->start < memory.end(); ++next) {
    if (next->start > at) fill(at, next->start);
    at = std::max(at, next->end());
  }
  if (at < memory.end()) fill(at, memory.end());
}

}  // namespace

std::vector<std::byte> own_note_bytes(const OwnNote& note, ByteOrder order) {
  std::vector<std::byte> bytes;
  for (const uint64_t number : {kVersion, note.dump_level, note.page_size, note.memory.offset,
                                note.memory.size, note.missing.offset, note.missing.size})
    append(bytes, number, order);
  return bytes;
}

std::vector<std::byte> live_note_bytes(const LiveWindow& window, ByteOrder order) {
  std::vector<std::byte> bytes;
  for (const uint64_t number : {kVersion, window.start, window.end}) append(bytes, number, order);
  return bytes;
}

std::optional<LiveWindow> find_live_note(const File& file, std::span<const Note> notes, ByteOrder order) {
  for (const Note& note : notes) {
    if (note.name != kOwnNoteName || note.type != kLiveNoteType || note.size < kLiveNoteSize) continue;
    std::vector<std::byte> bytes(kLiveNoteSize);
    if (file.read_at(note.offset, bytes) != bytes.size()) continue;
    Cursor in(bytes, order);
    if (in.u64() != kVersion) continue;
    const uint64_t start = in.u64();
    return LiveWindow{start, in.u64()};
  }
  return std::nullopt;
}

std::string describe(const LiveWindow& window) {
  if (window.end == 0)
    return "the dump is of a running kernel: its pages are not of one time, and registers there are none";
  const uint64_t seconds = window.end > window.start ? window.end - window.start : 0;
  return fmt::format(
      "the dump is of a running kernel: its pages are of {} second{}, not of one time, and registers there "
      "are "
      "none",
      seconds, seconds == 1 ? "" : "s");
}

std::vector<std::byte> missing_range_bytes(std::span<const MissingRange> ranges, ByteOrder order) {
  std::vector<std::byte> bytes;
  bytes.reserve(ranges.size() * kMissingRangeSize);
  for (const MissingRange& one : ranges)
    for (const uint64_t number : {one.range.start.value, one.range.size, to_number(one.state)})
      append(bytes, number, order);
  return bytes;
}

std::optional<OwnNote> find_own_note(const File& file, const ElfCore& core) {
  for (const Note& note : core.notes) {
    if (note.name != kOwnNoteName || note.type != kOwnNoteType || note.size < kOwnNoteSize) continue;
    std::vector<std::byte> bytes(kOwnNoteSize);
    if (file.read_at(note.offset, bytes) != bytes.size()) continue;
    Cursor in(bytes, core.byte_order);
    if (in.u64() != kVersion) continue;
    OwnNote own;
    own.dump_level = in.u64();
    own.page_size = in.u64();
    own.memory = {in.u64(), in.u64()};
    own.missing = {in.u64(), in.u64()};
    return own;
  }
  return std::nullopt;
}

ExtentMap complete_extents(const File& file, ByteOrder order, const OwnNote& note, const ExtentMap& segments,
                           bool incomplete, std::vector<std::string>& warnings) {
  const auto memory = read_table(file, order, note.memory, "memory", warnings);
  const auto missing = read_table(file, order, note.missing, "pages that are not there", warnings);
  std::vector<Extent> all;
  PhysAddr end_of_segments{0};
  for (Extent extent : segments.extents()) {
    extent.rest = PageState::zero_elided;
    end_of_segments = std::max(end_of_segments, extent.end());
    add_held(extent, missing, all);
  }
  for (const MissingRange& one : missing)
    all.push_back(not_held(one.range.start, one.range.end(), one.state));
  const ExtentMap known(all);
  for (const MissingRange& one : memory) fill_gaps(one.range, end_of_segments, incomplete, known, all);
  return ExtentMap(std::move(all));
}

}  // namespace kvista::image
