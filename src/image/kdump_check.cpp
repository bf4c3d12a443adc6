#include "image/kdump_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/bits.h"
#include "base/error.h"
#include "image/elf_core.h"
#include "image/kdump_bitmap.h"

namespace kvista::image {
namespace {

// What descriptors are counted by: the faults that they have by themselves, and those that show beside
// others.
enum Count : size_t { kOverlap = kDescriptorFaults, kBehindEnd, kNotThere, kCounts };
constexpr std::array<const char*, kCounts> kFaults = {
    "",
    "are empty: their pages are lost",
    "lead into the tables",
    "lead farther than all pages reach",
    "have a size that no page has",
    "name no compression that is known",
    "share bytes with the one before",
    "lead behind the end of the file",
    "are not in the file",
};

// Descriptors with one fault, and the first of them.
struct Tally {
  uint64_t count = 0;
  Pfn first;
  PageDescriptor example;
};

// Goes through the bitmaps, and with them through the descriptors: one for each bit.
class TableCheck {
 public:
  explicit TableCheck(const KdumpFile& part) : part_(part) {}

  void run() {
    KdumpBitmap::for_each_piece(part_.file, part_.header, [&](Pfn first, auto memory, auto dumped) {
      for (size_t i = 0; i < memory.size(); ++i) look_at(first + 8 * i, memory[i], dumped[i]);
    });
    check_waiting();
  }

  Check bitmaps() const {
    if (not_memory_ == 0)
      return row("bitmaps", true,
                 fmt::format("{} pages of memory, {} of them to be in the dump", memory_, dumped_));
    return row(
        "bitmaps", false,
        fmt::format("{} pages of the second bitmap are not in the first; the first of them is the page "
                    "frame {:#x}",
                    not_memory_, first_not_memory_.value));
  }

  // How many descriptors there are is nowhere said: it shows by where the pages begin behind them.
  Check table() const {
    const KdumpPages& pages = part_.pages;
    if (checked_ != pages.count())
      return row(
          "descriptors", false,
          fmt::format("its second bitmap has {} pages for this file, and that of the dump's first file {}",
                      checked_, pages.count()));
    if (pages.missing() != 0)
      return row("descriptors", false,
                 fmt::format("the file ends before {} of {} descriptors", pages.missing(), pages.count()));
    if (const uint64_t more = bits_missing(); more != 0)
      return row(
          "descriptors", false,
          fmt::format("the second bitmap has {} pages, and there is room for {} descriptors before the "
                      "first page",
                      pages.count(), pages.count() + more));
    return row("descriptors", true, fmt::format("{}, one for each page of the second bitmap", pages.count()));
  }

  // One row for each fault that there is.
  std::vector<Check> faults() const {
    std::vector<Check> rows;
    for (size_t i = 0; i < tallies_.size(); ++i) {
      const Tally& tally = tallies_.at(i);
      if (i == 0 || tally.count == 0) continue;
      rows.push_back(row("descriptors", false,
                         fmt::format("{} {}; the first: of page frame {:#x}, {} bytes at {:#x}, flags {:#x}",
                                     tally.count, kFaults.at(i), tally.first.value, tally.example.size,
                                     tally.example.offset, tally.example.flags)));
    }
    return rows;
  }

 private:
  Check row(const char* what, bool good, std::string found) const {
    return {part_.file.path(), what, good, std::move(found)};
  }

  void look_at(Pfn first, std::byte memory, std::byte dumped) {
    for (unsigned bit = 0; bit < 8 && ((memory | dumped) >> bit) != std::byte{0}; ++bit) {
      const Pfn pfn = first + bit;
      if (pfn.value >= part_.header.max_mapnr) return;
      const bool is_memory = (memory >> bit & std::byte{1}) != std::byte{0};
      memory_ += is_memory ? 1 : 0;
      if ((dumped >> bit & std::byte{1}) == std::byte{0}) continue;
      ++dumped_;
      if (!is_memory && not_memory_++ == 0) first_not_memory_ = pfn;
      if (pfn >= part_.header.start && pfn < part_.header.end) add_page(pfn);
    }
  }

  void add_page(Pfn pfn) {
    waiting_.at(waiting_count_++) = pfn;
    if (waiting_count_ == waiting_.size()) check_waiting();
  }

  void check_waiting() {
    std::array<PageDescriptor, KdumpPages::kMostAtOnce> some;
    const size_t got = part_.pages.read_stored(part_.file, checked_, std::span(some).first(waiting_count_));
    for (size_t i = 0; i < got; ++i) check_one(waiting_.at(i), some.at(i));
    for (size_t i = got; i < waiting_count_; ++i) count(kNotThere, waiting_.at(i), {});
    checked_ += waiting_count_;
    waiting_count_ = 0;
  }

  void check_one(Pfn pfn, const PageDescriptor& descriptor) {
    const DescriptorFault fault = part_.pages.fault_of(descriptor);
    if (fault != DescriptorFault::none) return count(static_cast<size_t>(fault), pfn, descriptor);
    lowest_ = std::min(lowest_.value_or(descriptor.offset), descriptor.offset);
    if (descriptor.offset + descriptor.size > part_.file.size()) count(kBehindEnd, pfn, descriptor);
    // All pages of zeros share one, in between the others.
    if (descriptor.offset == part_.pages.zero_page_at()) return;
    if (before_ && KdumpPages::overlap(*before_, descriptor)) count(kOverlap, pfn, descriptor);
    before_ = descriptor;
  }

  void count(size_t fault, Pfn pfn, const PageDescriptor& descriptor) {
    Tally& tally = tallies_.at(fault);
    if (tally.count++ == 0) tally = {1, pfn, descriptor};
  }

  // Behind the descriptors stands the page of zeros, or the first page that one leads to. A hole there as
  // large as descriptors are says that bits are missing.
  uint64_t bits_missing() const {
    const KdumpPages& pages = part_.pages;
    if (!lowest_ || pages.zero_page_at() != 0 || part_.header.status & kKdumpIncomplete) return 0;
    const uint64_t hole = *lowest_ - pages.first_page();
    for (const uint64_t size : {hole, hole - std::min<uint64_t>(hole, part_.header.block_size)})
      if (size % kKdumpDescriptorSize == 0) return size / kKdumpDescriptorSize;
    return 0;
  }

  const KdumpFile& part_;
  uint64_t memory_ = 0;
  uint64_t dumped_ = 0;
  uint64_t not_memory_ = 0;  // dumped, and no memory
  Pfn first_not_memory_;
  uint64_t checked_ = 0;  // descriptors
  std::array<Pfn, KdumpPages::kMostAtOnce> waiting_{};
  size_t waiting_count_ = 0;
  std::array<Tally, kCounts> tallies_{};
  std::optional<PageDescriptor> before_;
  std::optional<uint64_t> lowest_;  // where the first page begins that a descriptor leads to
};

bool is_inside(const FilePart& place, uint64_t size) {
  return place.offset <= size && place.size <= size - place.offset;
}

// The bytes that the notes take, or the place behind the last whole one, counted from the first.
uint64_t end_of_notes(const std::vector<Note>& notes, uint64_t start) {
  constexpr uint64_t kAlignment = 4;
  if (notes.empty()) return 0;
  const uint64_t end = notes.back().offset + notes.back().size - start;
  return (end + kAlignment - 1) / kAlignment * kAlignment;
}

// Some writers fill up with zeros.
bool is_zero_from(const File& file, uint64_t from, uint64_t size) {
  std::array<std::byte, 4096> buffer{};
  for (uint64_t done = 0; done < size;) {
    const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), size - done));
    if (file.read_at(from + done, part) != part.size()) return false;
    if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; })) return false;
    done += part.size();
  }
  return true;
}

Check check_notes(const KdumpFile& part, const std::vector<Note>& notes) {
  const FilePart& place = part.header.notes;
  const auto row = [&](bool good, std::string found) {
    return Check{part.file.path(), "notes", good, std::move(found)};
  };
  if (place.size == 0) return row(true, "none");
  if (!is_inside(place, part.file.size()))
    return row(false,
               fmt::format("{} bytes at {:#x} reach behind the end of the file", place.size, place.offset));
  const uint64_t end = end_of_notes(notes, place.offset);
  if (end < place.size && !is_zero_from(part.file, place.offset + end, place.size - end))
    return row(false, fmt::format("behind {} notes, {} of {} bytes are no notes", notes.size(),
                                  place.size - end, place.size));
  if (place.offset + place.size > part.header.bitmaps_at())
    return row(false, fmt::format("they end at {:#x}, and the bitmaps begin at {:#x}",
                                  place.offset + place.size, part.header.bitmaps_at()));
  return row(true, fmt::format("{}, of {} bytes together", notes.size(), place.size));
}

// The sub header and the list of notes both say where it is.
Check check_vmcoreinfo(const KdumpFile& part, const std::vector<Note>& notes) {
  const FilePart& place = part.header.vmcoreinfo;
  const auto row = [&](bool good, std::string found) {
    return Check{part.file.path(), "VMCOREINFO", good, std::move(found)};
  };
  const auto note =
      std::find_if(notes.begin(), notes.end(), [](const Note& n) { return n.name == "VMCOREINFO"; });
  if (place.size == 0)
    return note == notes.end() ? row(true, "none")
                               : row(false, "one of the notes, and the sub header names no place for it");
  if (!is_inside(place, part.file.size()))
    return row(false,
               fmt::format("{} bytes at {:#x} reach behind the end of the file", place.size, place.offset));
  if (note != notes.end() && (note->offset != place.offset || note->size < place.size))
    return row(false, fmt::format("the sub header says {} bytes at {:#x}, and the note has {} at {:#x}",
                                  place.size, place.offset, note->size, note->offset));
  return row(true, fmt::format("{} bytes", place.size));
}

Check check_mark(const KdumpFile& part) {
  const bool incomplete = (part.header.status & kKdumpIncomplete) != 0;
  return {part.file.path(), "mark", !incomplete,
          incomplete ? "its writer marked it as incomplete" : "its writer says that it is complete"};
}

}  // namespace

std::vector<Check> check_kdump(const KdumpFile& part) {
  std::vector<Check> checks = {check_mark(part)};
  TableCheck tables(part);
  try {
    tables.run();
    checks.push_back(tables.bitmaps());
    checks.push_back(tables.table());
    for (Check& fault : tables.faults()) checks.push_back(std::move(fault));
  } catch (const FormatError& error) {
    checks.push_back({part.file.path(), "bitmaps", false, error.what()});
  }
  const FilePart& place = part.header.notes;
  const auto notes = place.size == 0
                         ? std::vector<Note>()
                         : read_note_list(part.file, part.header.byte_order, place.offset, place.size);
  checks.push_back(check_notes(part, notes));
  checks.push_back(check_vmcoreinfo(part, notes));
  if (const FilePart& erased = part.header.eraseinfo; erased.size != 0)
    checks.push_back({part.file.path(), "eraseinfo", is_inside(erased, part.file.size()),
                      fmt::format("{} bytes at {:#x}", erased.size, erased.offset)});
  return checks;
}

Check compare_bitmaps(const KdumpFile& first, const KdumpFile& other) {
  constexpr uint64_t kStep = uint64_t{256} << 10;
  const uint64_t size = 2 * first.header.bitmap_size();
  std::vector<std::byte> one(std::min(kStep, size));
  std::vector<std::byte> two(one.size());
  bool same = true;
  for (uint64_t at = 0; at < size && same; at += kStep) {
    const uint64_t wanted = std::min(kStep, size - at);
    same = first.file.read_at(first.header.bitmaps_at() + at, std::span(one).first(wanted)) == wanted &&
           other.file.read_at(other.header.bitmaps_at() + at, std::span(two).first(wanted)) == wanted &&
           std::equal(one.begin(), one.begin() + static_cast<ptrdiff_t>(wanted), two.begin());
  }
  return {other.file.path(), "bitmaps", same,
          fmt::format("{} as those of {}", same ? "the same" : "not the same", first.file.path())};
}

}  // namespace kvista::image
