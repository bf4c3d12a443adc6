#include <algorithm>
#include <array>

#include "base/error.h"
#include "fuzz/targets.h"
#include "image/elf_image.h"
#include "unit/memory_file.h"
#include "vmcoreinfo/locate.h"

namespace kvista::fuzz {
namespace {

constexpr size_t kMostRanges = 16;
constexpr size_t kMostNotes = 16;

size_t read_at(const image::MemoryImage& image, PhysAddr address) {
  std::array<std::byte, 4096> out{};
  const auto result = image.read(address, out);
  require(result.done <= out.size(), "a read gives no more than was asked for");
  require((result.done == out.size()) == (result.state == image::PageState::present),
          "a short read says why");
  return result.done;
}

void check_ranges(const image::MemoryImage& image) {
  const auto ram = image.ram();
  require(!ram.empty(), "an image has memory");
  for (const PhysRange& range : ram)
    require(range.size > 0 && range.end() > range.start, "no range is empty or wraps");
  for (size_t i = 1; i < ram.size(); ++i)
    require(ram[i - 1].end() < ram[i].start, "ranges are sorted and disjoint");
}

// Whether the first byte of all memory is there.
bool read_ranges(const image::MemoryImage& image) {
  bool all = true;
  const auto ram = image.ram();
  for (const PhysRange& range : ram.first(std::min(ram.size(), kMostRanges))) {
    all = read_at(image, range.start) > 0 && all;
    read_at(image, range.start + range.size / 2);
    read_at(image, range.end() - 1);
    require(read_at(image, range.end()) == 0 || range.end() > ram.back().start,
            "nothing is behind the last range");
  }
  return all;
}

void read_notes(const image::MemoryImage& image) {
  const auto notes = image.notes();
  constexpr uint64_t kLimit = 4096;
  for (const image::Note& note : notes.first(std::min(notes.size(), kMostNotes)))
    require(image.read_note(note, kLimit).size() <= std::min(note.size, kLimit),
            "a note is no longer than it says");
  vmcoreinfo::locate(image, "/nonexistent");
}

}  // namespace

bool elf(Input input) {
  const test::MemoryFile file(input);
  try {
    const auto image = image::open_elf(file.open());
    check_ranges(*image);
    read_notes(*image);
    return read_ranges(*image) && image->warnings().empty();
  } catch (const Error& error) {
    require(!std::string_view(error.what()).empty(), "an error has a message");
    return false;
  }
}

}  // namespace kvista::fuzz
