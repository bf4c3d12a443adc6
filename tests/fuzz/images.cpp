#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "fuzz/targets.h"
#include "image/avml_image.h"
#include "image/elf_image.h"
#include "image/flattened.h"
#include "image/kdump_image.h"
#include "image/lime_image.h"
#include "image/open.h"
#include "image/s390_dump_image.h"
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

// What is looked at is what is read, and no page is another one alone than among others.
void check_views(const image::MemoryImage& image) {
  constexpr size_t kPages = 20;
  constexpr size_t kPage = 4096;
  image::Window window;
  std::vector<std::byte> out(kPages * kPage);
  const auto ram = image.ram();
  for (const PhysRange& range : ram.first(std::min(ram.size(), kMostRanges))) {
    const auto many = image.view(range.start, out.size(), window);
    const auto read = image.read(range.start, out);
    require(read.done == many.bytes.size() && read.state == many.state, "a view is as long as a read");
    require(std::equal(many.bytes.begin(), many.bytes.end(), out.begin()), "a view shows what a read gives");
    std::array<std::byte, kPage> page{};
    for (size_t at = 0; at + kPage <= read.done; at += kPage) {
      require(image.read(range.start + at, page).done == kPage,
              "a page that is there among others is there alone");
      require(std::equal(page.begin(), page.end(), out.begin() + static_cast<ptrdiff_t>(at)),
              "a page alone has the bytes that it has among others");
    }
  }
}

void read_notes(const image::MemoryImage& image) {
  const auto notes = image.notes();
  constexpr uint64_t kLimit = 4096;
  for (const image::Note& note : notes.first(std::min(notes.size(), kMostNotes)))
    require(image.read_note(note, kLimit).size() <= std::min(note.size, kLimit),
            "a note is no longer than it says");
  vmcoreinfo::locate(image, "/nonexistent");
}

// Whether all is there and nothing is odd.
bool check_image(const std::function<std::unique_ptr<image::MemoryImage>()>& open,
                 const std::function<void(const image::MemoryImage&)>& check_more = {}) {
  try {
    const auto image = open();
    check_ranges(*image);
    read_notes(*image);
    if (check_more) check_more(*image);
    return read_ranges(*image) && image->warnings().empty();
  } catch (const Error& error) {
    require(!std::string_view(error.what()).empty(), "an error has a message");
    return false;
  }
}

// Any two reads of a rearranged file agree, and none gives more than there is.
void check_rearranged(const File& file) {
  constexpr uint64_t kMost = 65536;
  std::vector<std::byte> whole(std::min(file.size(), kMost));
  whole.resize(file.read_at(0, whole));
  for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 16) {
    std::array<std::byte, 64> part{};
    const size_t got = file.read_at(at, part);
    const size_t both = std::min(got, whole.size() - at);
    require(both > 0, "what one read gives another gives too");
    require(std::equal(part.begin(), part.begin() + static_cast<ptrdiff_t>(both),
                       whole.begin() + static_cast<ptrdiff_t>(at)),
            "two reads give the same bytes");
  }
  std::array<std::byte, 16> behind{};
  require(file.read_at(file.size(), behind) == 0, "nothing is behind the end");
}

}  // namespace

bool elf(Input input) {
  const test::MemoryFile file(input);
  return check_image([&] { return image::open_elf(file.open()); });
}

bool lime(Input input) {
  const test::MemoryFile file(input);
  return check_image([&] { return image::open_lime(file.open()); });
}

bool avml(Input input) {
  const test::MemoryFile file(input);
  return check_image([&] { return image::open_avml(file.open()); }, check_views);
}

bool s390_dump(Input input) {
  const test::MemoryFile file(input);
  return check_image([&] { return image::open_s390_dump(file.open()); });
}

// A window and a copy, one page and many: the bytes are the same.
bool kdump(Input input) {
  const test::MemoryFile file(input);
  return check_image([&] { return image::open_kdump(file.open()); }, check_views);
}

bool flattened(Input input) {
  const test::MemoryFile file(input);
  try {
    check_rearranged(image::unflatten(file.open()).file);
  } catch (const Error&) {
    return false;
  }
  return check_image([&] { return image::open_image(file.path()); });
}

}  // namespace kvista::fuzz
