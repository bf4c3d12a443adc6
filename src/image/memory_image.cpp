#include "image/memory_image.h"

#include <algorithm>
#include <utility>

#include "image/frame_bits.h"

namespace kvista::image {

void MemoryImage::add_layer(const std::string& layer, std::vector<std::string> warnings) {
  traits_.format += ", " + layer;
  warnings.insert(warnings.end(), warnings_.begin(), warnings_.end());
  warnings_ = std::move(warnings);
}

View MemoryImage::view(PhysAddr address, size_t size, Window& window) const {
  window.copy.resize(std::max(window.copy.size(), size));
  const auto copy = std::span(window.copy).first(size);
  const ReadResult result = read(address, copy);
  return {copy.first(result.done), result.state};
}

void MemoryImage::clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const {
  clear_outside(first, page_shift, bits, ram_);
}

const char* describe(PageState state) {
  switch (state) {
    case PageState::present:
      return "present";
    case PageState::zero_elided:
      return "zero (left out of the file)";
    case PageState::excluded:
      return "excluded from the dump";
    case PageState::absent:
      return "absent from the file (excluded or zero, unknown which)";
    case PageState::lost:
      return "lost (the file is cut short or incomplete)";
    case PageState::unreadable:
      return "unreadable";
    case PageState::beyond:
      return "beyond the image";
  }
  return "unknown";
}

std::string MemoryImage::describe_state(PageState state) const {
  if (state != PageState::excluded || !traits_.dump_level) return describe(state);
  return describe(state) + std::string(" by dump level ") + std::to_string(*traits_.dump_level);
}

}  // namespace kvista::image
