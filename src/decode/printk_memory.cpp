#include "decode/printk_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr uint64_t kPage = 4096;        // the smallest unit that can be missing
constexpr uint64_t kMostStruct = 1024;  // a struct of the log is some tens of bytes

}  // namespace

PrintkWindow::PrintkWindow(const VirtReader& read, VirtAddr start, size_t size) : bytes_(size) {
  for (size_t at = 0; at < size;) {
    const size_t done = std::min(read(start + at, std::span(bytes_).subspan(at)), size - at);
    empty_ = empty_ && done == 0;
    at += done;
    if (at == size) break;
    const uint64_t to_next_page = kPage - (start.value + at) % kPage;
    const size_t end = at + std::min<uint64_t>(to_next_page, size - at);
    if (!gaps_.empty() && gaps_.back().end == at)
      gaps_.back().end = end;
    else
      gaps_.push_back({at, end});
    at = end;
  }
}

std::span<const std::byte> PrintkWindow::bytes(size_t offset, size_t size) const {
  if (offset > bytes_.size() || size > bytes_.size() - offset) return {};
  const bool missing = std::any_of(gaps_.begin(), gaps_.end(), [&](const Gap& gap) {
    return offset < gap.end && gap.begin < offset + size;
  });
  return missing ? std::span<const std::byte>{} : std::span(bytes_).subspan(offset, size);
}

std::optional<uint64_t> number_in(std::span<const std::byte> bytes, uint64_t offset, unsigned size,
                                  ByteOrder order) {
  if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
  const std::byte* const at = bytes.data() + offset;
  switch (size) {
    case 1:
      return load<uint8_t>(at, order);
    case 2:
      return load<uint16_t>(at, order);
    case 4:
      return load<uint32_t>(at, order);
    case 8:
      return load<uint64_t>(at, order);
    default:
      return std::nullopt;
  }
}

uint64_t read_number(const VirtReader& read, VirtAddr address, unsigned size, ByteOrder order,
                     std::string_view what) {
  std::array<std::byte, 8> buffer{};
  const auto bytes = std::span(buffer).first(std::min<size_t>(size, buffer.size()));
  const bool there = read(address, bytes) == bytes.size();
  const auto value = there ? number_in(bytes, 0, size, order) : std::nullopt;
  if (!value)
    throw FormatError(fmt::format("{} at {:#x} cannot be read: it is not in the image", what, address.value),
                      address.value);
  return *value;
}

void require_member(uint64_t offset, uint64_t size, uint64_t within, std::string_view what) {
  if (within > kMostStruct || offset > within || size > within - offset)
    throw FormatError(
        fmt::format("VMCOREINFO puts {} at offset {} of a struct of {} bytes, which makes no sense", what,
                    offset, within),
        offset);
}

// The compiler gives the first member the lowest bits on little-endian machines, the highest on others.
uint8_t level_of(uint8_t byte, ByteOrder order) {
  return order == ByteOrder::little ? byte >> 5 : byte & 7;
}

}  // namespace kvista::decode
