#include "image/extent_image.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <utility>

namespace kvista::image {
namespace {

// /proc/vmcore maps each page anew for a read of it, so that one mapping of many is worth it. With files that
// the page cache holds it is not: a copy that stays in a core's own cache costs less than changes of page
// tables, most of all in a virtual machine and where the cache holds the file in small pieces.
bool is_better_mapped(const File& file) {
  struct statfs status {};
  return file.is_regular() && statfs(file.path().c_str(), &status) == 0 && status.f_type == PROC_SUPER_MAGIC;
}

}  // namespace

ExtentImage::ExtentImage(File file) : file_(std::move(file)), map_(is_better_mapped(file_)) {}

void ExtentImage::set_extents(ExtentMap extents) {
  extents_ = std::move(extents);
  ram_ = extents_.ranges();
}

ReadResult ExtentImage::read(PhysAddr address, std::span<std::byte> out) const {
  return read_extents(extents_, address, out, [this](uint64_t offset, std::span<std::byte> part) {
    return read_outcome(part, file_.read_at(offset, part));
  });
}

View ExtentImage::view(PhysAddr address, size_t size, Window& window) const {
  const auto place = extents_.find(address);
  if (place.state == PageState::present && place.size >= size && map_) {
    const auto bytes = window.file.view(file_, place.offset, size);
    if (!bytes.empty()) return {bytes, PageState::present};
  }
  return MemoryImage::view(address, size, window);
}

std::vector<std::byte> ExtentImage::read_note(const Note& note, uint64_t limit) const {
  const uint64_t rest = note.offset < file_.size() ? file_.size() - note.offset : 0;
  std::vector<std::byte> bytes(std::min({note.size, limit, rest}));
  bytes.resize(file_.read_at(note.offset, bytes));
  return bytes;
}

std::vector<PhysRange> ExtentImage::stored() const {
  return extents_.stored();
}

void ExtentImage::clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const {
  extents_.clear_missing(first, page_shift, bits);
}

uint64_t count_lost(const ExtentMap& extents) {
  uint64_t lost = 0;
  for (const Extent& extent : extents.extents()) lost += extent.file_size - extent.available;
  return lost;
}

std::string describe_lost(uint64_t bytes) {
  return fmt::format("the file is cut short: {} bytes that its headers name are not there", bytes);
}

}  // namespace kvista::image
