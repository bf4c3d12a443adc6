#include "image/kdump_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/cursor.h"
#include "base/error.h"
#include "codec/codec.h"

namespace kvista::image {
namespace {

constexpr size_t kDescriptorSize = 24;
constexpr size_t kMostPageSize = 65536;

struct Compression {
  uint32_t flag;
  codec::Codec codec;
};
constexpr std::array kCompressions = {
    Compression{0x1, codec::Codec::zlib}, Compression{0x2, codec::Codec::lzo},
    Compression{0x4, codec::Codec::snappy}, Compression{0x20, codec::Codec::zstd}};

std::optional<codec::Codec> codec_of(uint32_t flags) {
  for (const Compression& known : kCompressions)
    if (known.flag == flags) return known.codec;
  return std::nullopt;
}

// The rest of what the writer had no room for: an incomplete dump has zeros there.
bool is_empty(const PageDescriptor& descriptor) {
  return descriptor.offset == 0 && descriptor.size == 0;
}

bool is_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

KdumpPages::KdumpPages(const File& file, const KdumpHeader& header, uint64_t count)
    : order_(header.byte_order),
      page_size_(header.block_size),
      table_at_(header.descriptors_at()),
      count_(count),
      file_size_(file.size()) {
  const uint64_t room = (file_size_ - std::min(file_size_, table_at_)) / kDescriptorSize;
  missing_ = count_ - std::min(count_, room);
  check_first(file);
  find_zero_page(file);
}

// A page's bytes are behind all descriptors, and never more than the page.
bool KdumpPages::is_possible(const PageDescriptor& descriptor) const {
  if (descriptor.offset < table_at_ + count_ * kDescriptorSize || descriptor.size == 0 ||
      descriptor.size > page_size_ || !checked_add(descriptor.offset, descriptor.size))
    return false;
  return descriptor.flags == 0 ? descriptor.size == page_size_ : codec_of(descriptor.flags).has_value();
}

void KdumpPages::check_first(const File& file) const {
  std::array<PageDescriptor, kMostAtOnce> first{};
  const size_t got =
      read_descriptors(file, 0, std::span(first).first(std::min<uint64_t>(first.size(), count_)));
  const auto read = std::span(first).first(got);
  const bool any_right = std::any_of(read.begin(), read.end(), [&](const PageDescriptor& descriptor) {
    return is_empty(descriptor) || is_possible(descriptor);
  });
  if (read.empty() || any_right) return;
  const PageDescriptor& shown = read.front();
  throw FormatError(
      fmt::format(
          "{}: the page descriptors at offset {:#x} make no sense (the first: {} bytes at {:#x}, flags "
          "{:#x}): the bitmap or the descriptors are damaged",
          file.path(), table_at_, shown.size, shown.offset, shown.flags),
      table_at_);
}

// Writers put one page of zeros first, and let all pages of zeros point to it.
void KdumpPages::find_zero_page(const File& file) {
  const uint64_t at = table_at_ + count_ * kDescriptorSize;
  std::array<std::byte, kMostPageSize> buffer;
  const auto page = std::span(buffer).first(page_size_);
  if (file.read_at(at, page) == page.size() && is_zero(page)) zero_page_at_ = at;
}

size_t KdumpPages::read_descriptors(const File& file, uint64_t first, std::span<PageDescriptor> out) const {
  std::array<std::byte, kMostAtOnce * kDescriptorSize> bytes;
  const auto wanted = std::span(bytes).first(out.size() * kDescriptorSize);
  const size_t got = file.read_at(table_at_ + first * kDescriptorSize, wanted) / kDescriptorSize;
  Cursor in(wanted, order_);
  for (PageDescriptor& descriptor : out.first(got)) {
    descriptor.offset = in.u64();
    descriptor.size = in.u32();
    descriptor.flags = in.u32();
    in.skip(8);  // page_flags
  }
  return got;
}

PageState KdumpPages::read_page(const File& file, const PageDescriptor& descriptor, std::span<std::byte> page,
                                FileWindow* window) const {
  if (is_empty(descriptor)) return PageState::lost;
  if (!is_possible(descriptor)) return PageState::unreadable;
  if (descriptor.offset + descriptor.size > file_size_) return PageState::lost;
  if (descriptor.offset == zero_page_at_ && descriptor.flags == 0) {
    std::fill(page.begin(), page.end(), std::byte{0});
    return PageState::present;
  }
  std::span<const std::byte> bytes;
  if (window != nullptr) bytes = window->view(file, descriptor.offset, descriptor.size);
  std::array<std::byte, kMostPageSize> buffer;
  if (bytes.empty()) {
    // Uncompressed bytes need no second buffer.
    const auto into = descriptor.flags == 0 ? page : std::span(buffer).first(descriptor.size);
    if (file.read_at(descriptor.offset, into) != into.size()) return PageState::unreadable;
    if (descriptor.flags == 0) return PageState::present;
    bytes = into;
  }
  if (descriptor.flags == 0) {
    std::copy(bytes.begin(), bytes.end(), page.begin());
    return PageState::present;
  }
  const bool good = codec::decompress_exactly(*codec_of(descriptor.flags), bytes, page);
  return good ? PageState::present : PageState::unreadable;
}

}  // namespace kvista::image
