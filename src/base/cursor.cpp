#include "base/cursor.h"

namespace kvista {

void Cursor::fail() {
  if (failed_) return;
  failed_ = true;
  failed_at_ = offset_;
}

std::span<const std::byte> Cursor::bytes(uint64_t count) {
  if (failed_ || count > remaining()) {
    fail();
    return {};
  }
  const auto taken = bytes_.subspan(offset_, count);
  offset_ += count;
  return taken;
}

void Cursor::seek(uint64_t offset) {
  if (offset > bytes_.size()) {
    fail();
    return;
  }
  offset_ = offset;
}

void Cursor::align(uint64_t alignment) {
  const uint64_t beyond = offset_ & (alignment - 1);
  if (beyond != 0) skip(alignment - beyond);
}

std::string_view as_text(std::span<const std::byte> bytes) {
  // A view of the same bytes: char may alias anything.
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return all.substr(0, all.find('\0'));
}

}  // namespace kvista
