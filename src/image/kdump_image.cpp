#include "image/kdump_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/error.h"
#include "image/elf_core.h"
#include "image/kdump_bitmap.h"
#include "image/kdump_check.h"
#include "image/kdump_header.h"
#include "image/kdump_pages.h"
#include "image/own_note.h"
#include "image/page_cache.h"

namespace kvista::image {
namespace {

constexpr size_t kMostPageSize = 65536;

// A file with its headers, before it is known whether the files belong together.
struct OpenedPart {
  File file;
  KdumpHeader header;
};

// One file of a dump.
struct Part {
  File file;
  KdumpHeader header;
  Pfn start;
  Pfn end;
  uint64_t first_rank;  // dumped pages before `start`
  KdumpPages pages;
};

// What differs between two files that should be of one dump; empty: nothing.
std::string difference(const KdumpHeader& a, const KdumpHeader& b) {
  if (a.signature != b.signature || a.version != b.version) return "their headers are of different versions";
  if (a.byte_order != b.byte_order || a.word_size != b.word_size) return "their machines differ";
  if (a.utsname != b.utsname) return "their kernels differ (utsname)";
  if (a.seconds != b.seconds || a.microseconds != b.microseconds) return "they were taken at different times";
  if (a.block_size != b.block_size || a.max_mapnr != b.max_mapnr || a.bitmap_blocks != b.bitmap_blocks)
    return "they are of different amounts of memory";
  return "";
}

void check_belong_together(const std::vector<OpenedPart>& parts) {
  for (const OpenedPart& part : parts) {
    if (part.header.split == 0)
      throw FormatError(
          fmt::format("{}: a whole dump, and not one part of a split one: give it alone", part.file.path()),
          part.header.block_size);
    const std::string what = difference(parts.front().header, part.header);
    if (!what.empty())
      throw FormatError(fmt::format("{} and {} are not parts of the same dump: {}", parts.front().file.path(),
                                    part.file.path(), what),
                        0);
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].header.start >= parts[i - 1].header.end) continue;
    throw FormatError(
        fmt::format("{} and {} overlap: both hold the page frames from {:#x} on: is one given twice?",
                    parts[i - 1].file.path(), parts[i].file.path(), parts[i].header.start.value),
        parts[i].header.block_size);
  }
}

class KdumpImage final : public MemoryImage {
 public:
  explicit KdumpImage(std::vector<OpenedPart> opened)
      : bitmap_(opened.front().file, opened.front().header),
        page_size_(opened.front().header.block_size),
        page_shift_(static_cast<unsigned>(std::countr_zero(page_size_))),
        cache_(page_size_) {
    const KdumpHeader header = opened.front().header;
    traits_ = {opened.front().file.path(),
               fmt::format("kdump-compressed v{}", header.version),
               header.byte_order,
               header.word_size,
               elf_machine_of(header.machine()),
               false,
               header.dump_level == 0 ? std::nullopt : std::optional<unsigned>(header.dump_level)};
    for (const PfnRun& run : bitmap_.memory())
      ram_.push_back({phys_of(run.first, page_shift_), run.count << page_shift_});
    if (ram_.empty())
      throw FormatError(fmt::format("{}: its bitmaps name no memory", traits_.path), header.bitmaps_at());
    add_notes(opened.front());
    const bool is_set = opened.size() > 1;
    parts_.reserve(opened.size());
    for (OpenedPart& part : opened) add_part(std::move(part));
    find_gaps(header, is_set);
    add_status_warnings(header);
  }

  ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    // A mapping is worth its system calls from so many pages on.
    constexpr size_t kManyPages = 16;
    FileWindow window;
    return read_through(address, out, out.size() >= kManyPages * page_size_ ? &window : nullptr);
  }

  View view(PhysAddr address, size_t size, Window& window) const override {
    window.copy.resize(std::max(window.copy.size(), size));
    const auto copy = std::span(window.copy).first(size);
    const ReadResult result = read_through(address, copy, &window.file);
    return {copy.first(result.done), result.state};
  }

  void clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const override {
    bitmap_.clear_missing(*note_file_, first, page_shift, bits);
  }

  SelfCheck check() const {
    SelfCheck result;
    result.page_shift = page_shift_;
    const auto as_file = [](const Part& part) { return KdumpFile{part.file, part.header, part.pages}; };
    for (const Part& part : parts_) {
      if (&part != &parts_.front())
        result.checks.push_back(compare_bitmaps(as_file(parts_.front()), as_file(part)));
      for (Check& check : check_kdump(as_file(part))) result.checks.push_back(std::move(check));
    }
    return result;
  }

  std::vector<std::byte> read_note(const Note& note, uint64_t limit) const override {
    const File& file = *note_file_;
    const uint64_t rest = note.offset < file.size() ? file.size() - note.offset : 0;
    std::vector<std::byte> bytes(std::min({note.size, limit, rest}));
    bytes.resize(file.read_at(note.offset, bytes));
    return bytes;
  }

 private:
  void add_part(OpenedPart part) {
    const uint64_t first = bitmap_.rank(part.file, part.header.start);
    const uint64_t last = bitmap_.rank(part.file, part.header.end);
    KdumpPages pages(part.file, part.header, last - first);
    if (pages.missing() != 0)
      warnings_.push_back(fmt::format("{}: the file is cut short: {} of {} pages have no descriptor",
                                      part.file.path(), pages.missing(), last - first));
    else if (const uint64_t end = pages.end(part.file); end > part.file.size())
      warnings_.push_back(
          fmt::format("{}: the file is cut short: its pages end at {:#x}, and it has {} bytes",
                      part.file.path(), end, part.file.size()));
    const Pfn start = part.header.start;
    const Pfn end = part.header.end;
    parts_.push_back({std::move(part.file), std::move(part.header), start, end, first, pages});
    note_file_ = &parts_.front().file;
  }

  // Page frames with pages that no part holds.
  void find_gaps(const KdumpHeader& header, bool is_set) {
    Pfn next{0};
    const auto check = [&](Pfn start) {
      const uint64_t pages = bitmap_.rank(*note_file_, start) - bitmap_.rank(*note_file_, next);
      if (next >= start || pages == 0) return;
      const std::string what =
          fmt::format("{} pages of the page frames {:#x} to {:#x}", pages, next.value, start.value - 1);
      if (is_set)
        throw FormatError(
            fmt::format("{}: a part of the split dump is missing: no file holds {}", traits_.path, what),
            header.block_size);
      warnings_.push_back(fmt::format(
          "{}: one part of a split dump: {} are in other files (-c FILE for each)", traits_.path, what));
    };
    for (const Part& part : parts_) {
      check(part.start);
      next = part.end;
    }
    check(Pfn{header.max_mapnr});
  }

  void add_status_warnings(const KdumpHeader& header) {
    if ((header.status & kKdumpIncomplete) != 0)
      warnings_.emplace_back("the dump is incomplete: its writer ran out of room, and pages are lost");
    traits_.lacks_memory_map = (header.status & kKdumpExcludedVmemmap) != 0;
    if (traits_.lacks_memory_map)
      warnings_.emplace_back("the dump lacks the struct pages of pages that were left out (makedumpfile -e)");
  }

  void add_notes(const OpenedPart& part) {
    const auto add = [&](const char* name, const FilePart& place) {
      if (place.size == 0) return;
      if (place.offset >= part.file.size() || place.size > part.file.size() - place.offset)
        warnings_.push_back(
            fmt::format("{} at offset {:#x} is beyond the end of the file", name, place.offset));
      if (place.offset < part.file.size())
        notes_.push_back({name, 0, place.offset, std::min(place.size, part.file.size() - place.offset)});
    };
    const FilePart& list = part.header.notes;
    if (list.size != 0 && list.offset >= part.file.size())
      warnings_.push_back(
          fmt::format("the notes at offset {:#x} are beyond the end of the file", list.offset));
    else if (list.size != 0)
      notes_ = read_note_list(part.file, part.header.byte_order, list.offset, list.size);
    // The sub header most often names one of them again.
    const auto is_named = [&](const Note& note) { return note.offset == part.header.vmcoreinfo.offset; };
    if (std::none_of(notes_.begin(), notes_.end(), is_named)) add("VMCOREINFO", part.header.vmcoreinfo);
    add("ERASEINFO", part.header.eraseinfo);
    if (const auto live = find_live_note(part.file, notes_, part.header.byte_order))
      warnings_.push_back(describe(*live));
  }

  const Part* part_of(Pfn pfn) const {
    for (const Part& part : parts_)
      if (pfn >= part.start && pfn < part.end) return &part;
    return nullptr;
  }

  // The state of a page that was not dumped.
  PageState state_without_page(Pfn pfn) const {
    const PhysAddr address = phys_of(pfn, page_shift_);
    const auto after = std::upper_bound(ram_.begin(), ram_.end(), address,
                                        [](PhysAddr a, const PhysRange& range) { return a < range.start; });
    return after != ram_.begin() && std::prev(after)->contains(address) ? PageState::excluded
                                                                        : PageState::beyond;
  }

  // One look at the bitmap and one at the descriptors serve a run of pages.
  ReadResult read_through(PhysAddr address, std::span<std::byte> out, FileWindow* window) const {
    size_t done = 0;
    while (done < out.size()) {
      const PhysAddr at = address + done;
      if (at < address) return {done, PageState::beyond};
      const size_t into = at.value & (page_size_ - 1);
      const auto rest = out.subspan(done);
      const Pfn pfn = pfn_of(at, page_shift_);
      const bool whole = into == 0 && rest.size() >= page_size_;
      const ReadResult result =
          whole
              ? read_pages(pfn, rest, window)
              : read_within(pfn, into, rest.first(std::min<size_t>(rest.size(), page_size_ - into)), window);
      done += result.done;
      if (result.state != PageState::present) return {done, result.state};
    }
    return {done, PageState::present};
  }

  // Bytes of one page, by way of the cache.
  ReadResult read_within(Pfn pfn, size_t into, std::span<std::byte> out, FileWindow* window) const {
    if (cache_.read(pfn, into, out)) return {out.size(), PageState::present};
    std::array<std::byte, kMostPageSize> buffer;
    const auto page = std::span(buffer).first(page_size_);
    const ReadResult result = read_run(pfn, page, window);
    if (result.state != PageState::present) return {0, result.state};
    cache_.insert(pfn, page);
    const auto wanted = page.subspan(into, out.size());
    std::copy(wanted.begin(), wanted.end(), out.begin());
    return {out.size(), PageState::present};
  }

  // Whole pages: a single one may be in the cache and is kept there, for it is a page table most often.
  ReadResult read_pages(Pfn pfn, std::span<std::byte> out, FileWindow* window) const {
    if (out.size() / page_size_ == 1) return read_within(pfn, 0, out.first(page_size_), window);
    return read_run(pfn, out, window);
  }

  // As many whole pages from `pfn` on as one look at the bitmap gives, straight into `out`.
  ReadResult read_run(Pfn pfn, std::span<std::byte> out, FileWindow* window) const {
    const uint64_t most = std::min<uint64_t>(out.size() / page_size_, KdumpPages::kMostAtOnce);
    auto run = bitmap_.find(*note_file_, pfn, most);
    if (!run.readable) return {0, PageState::unreadable};
    if (run.count == 0) return {0, state_without_page(pfn)};
    const Part* part = part_of(pfn);
    if (part == nullptr) return {0, PageState::lost};
    run.count = std::min(run.count, part->end - pfn);
    std::array<PageDescriptor, KdumpPages::kMostAtOnce> descriptors;
    const size_t got = part->pages.read_descriptors(part->file, run.rank - part->first_rank,
                                                    std::span(descriptors).first(run.count));
    for (size_t i = 0; i < got; ++i) {
      const PageState state = part->pages.read_page(part->file, descriptors.at(i),
                                                    out.subspan(i * page_size_, page_size_), window);
      if (state != PageState::present) return {i * page_size_, state};
    }
    return {got * page_size_, got == run.count ? PageState::present : PageState::lost};
  }

  KdumpBitmap bitmap_;
  uint32_t page_size_;
  unsigned page_shift_;
  PageCache cache_;
  std::vector<Part> parts_;          // by page frame
  const File* note_file_ = nullptr;  // of the first part, which has the bitmaps and the notes
};

OpenedPart open_part(File file) {
  KdumpHeader header = read_kdump_header(file);
  return {std::move(file), std::move(header)};
}

}  // namespace

std::optional<SelfCheck> check_kdump_image(const MemoryImage& image) {
  const auto* kdump = dynamic_cast<const KdumpImage*>(&image);
  return kdump == nullptr ? std::nullopt : std::optional(kdump->check());
}

std::unique_ptr<MemoryImage> open_kdump(File file) {
  std::vector<OpenedPart> parts;
  parts.push_back(open_part(std::move(file)));
  return std::make_unique<KdumpImage>(std::move(parts));
}

std::unique_ptr<MemoryImage> open_kdump_set(std::vector<File> files) {
  std::vector<OpenedPart> parts;
  parts.reserve(files.size());
  for (File& file : files) parts.push_back(open_part(std::move(file)));
  std::sort(parts.begin(), parts.end(),
            [](const OpenedPart& a, const OpenedPart& b) { return a.header.start < b.header.start; });
  check_belong_together(parts);
  return std::make_unique<KdumpImage>(std::move(parts));
}

}  // namespace kvista::image
