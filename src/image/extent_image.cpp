#include "image/extent_image.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvista::image {

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
  if (place.state == PageState::present && place.size >= size && file_.is_regular()) {
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
