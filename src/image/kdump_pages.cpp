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

constexpr size_t kDescriptorSize = kKdumpDescriptorSize;
constexpr size_t kMostPageSize = 65536;

// No page: its bytes are nowhere.
constexpr PageDescriptor kDamaged{UINT64_MAX, 0, 0};

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

uint64_t KdumpPages::first_page() const {
  return table_at_ + count_ * kDescriptorSize;
}

// A page's bytes are behind all descriptors, not farther than all pages need, and never more than the page.
DescriptorFault KdumpPages::fault_of(const PageDescriptor& descriptor) const {
  constexpr uint64_t kSlack = 256;  // the page of zeros, what writers align, and what they put in between
  const uint64_t first = first_page();
  const uint64_t most = (count_ + kSlack) * page_size_;
  // The rest of what a writer had no room for is zeros. In a flattened file the page that is lost has a size
  // beyond that of a page, by which readers refuse it that do not look at the offset.
  if (descriptor.offset == 0 && descriptor.flags == 0 &&
      (descriptor.size == 0 || descriptor.size > page_size_))
    return DescriptorFault::empty;
  if (descriptor.offset < first) return DescriptorFault::in_tables;
  if (descriptor.offset - first > most) return DescriptorFault::too_far;
  if (descriptor.size == 0 || descriptor.size > page_size_) return DescriptorFault::wrong_size;
  if (descriptor.flags == 0)
    return descriptor.size == page_size_ ? DescriptorFault::none : DescriptorFault::wrong_size;
  return codec_of_kdump_flags(descriptor.flags) ? DescriptorFault::none : DescriptorFault::unknown_codec;
}

bool KdumpPages::is_possible(const PageDescriptor& descriptor) const {
  return fault_of(descriptor) == DescriptorFault::none;
}

void KdumpPages::check_first(const File& file) const {
  std::array<PageDescriptor, kMostAtOnce> first{};
  const size_t got =
      read_descriptors(file, 0, std::span(first).first(std::min<uint64_t>(first.size(), count_)));
  const auto read = std::span(first).first(got);
  const bool any_right = std::any_of(read.begin(), read.end(), [&](const PageDescriptor& descriptor) {
    const DescriptorFault fault = fault_of(descriptor);
    return fault == DescriptorFault::empty || fault == DescriptorFault::none;
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
  const uint64_t at = first_page();
  std::array<std::byte, kMostPageSize> buffer;
  const auto page = std::span(buffer).first(page_size_);
  if (file.read_at(at, page) == page.size() && is_zero(page)) zero_page_at_ = at;
}

// Goes back over pages of zeros, which say nothing, but not through all descriptors of a large dump.
uint64_t KdumpPages::end(const File& file) const {
  constexpr uint64_t kMost = 256 * kMostAtOnce;
  std::array<PageDescriptor, kMostAtOnce> some;
  for (uint64_t to = count_; to > count_ - std::min(count_, kMost);) {
    const uint64_t from = to - std::min<uint64_t>(to, some.size());
    const size_t got = read_descriptors(file, from, std::span(some).first(to - from));
    uint64_t end = 0;
    for (const PageDescriptor& descriptor : std::span(some).first(got))
      if (is_possible(descriptor) && descriptor.offset != zero_page_at_)
        end = std::max(end, descriptor.offset + descriptor.size);
    if (end != 0) return end;
    to = from;
  }
  return 0;
}

// Pages of zeros, and others that are equal, may share their bytes; a part of them they never do.
bool KdumpPages::overlap(const PageDescriptor& a, const PageDescriptor& b) {
  if (a.offset == b.offset && a.size == b.size) return false;
  return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

bool KdumpPages::conflict(const PageDescriptor& a, const PageDescriptor& b) const {
  return is_possible(a) && is_possible(b) && overlap(a, b);
}

size_t KdumpPages::read_stored(const File& file, uint64_t first, std::span<PageDescriptor> out) const {
  std::array<std::byte, (kMostAtOnce + 2) * kDescriptorSize> bytes;
  const uint64_t wanted = std::min<uint64_t>(out.size(), count_ - std::min(count_, first));
  const auto raw = std::span(bytes).first(wanted * kDescriptorSize);
  const size_t got = file.read_at(table_at_ + first * kDescriptorSize, raw) / kDescriptorSize;
  Cursor in(raw, order_);
  for (PageDescriptor& descriptor : out.first(got)) {
    descriptor.offset = in.u64();
    descriptor.size = in.u32();
    descriptor.flags = in.u32();
    in.skip(8);  // page_flags
  }
  return got;
}

size_t KdumpPages::read_descriptors(const File& file, uint64_t first, std::span<PageDescriptor> out) const {
  // One more at each end, where there is one.
  const uint64_t before = first == 0 ? 0 : 1;
  std::array<PageDescriptor, kMostAtOnce + 2> all;
  const size_t got = read_stored(file, first - before, std::span(all).first(before + out.size() + 1));
  const size_t here = std::min(out.size(), got - std::min<size_t>(got, before));
  for (size_t i = 0; i < here; ++i) {
    const size_t n = before + i;
    const bool bad =
        (n > 0 && conflict(all.at(n - 1), all.at(n))) || (n + 1 < got && conflict(all.at(n), all.at(n + 1)));
    out[i] = bad ? kDamaged : all.at(n);
  }
  return here;
}

PageState KdumpPages::read_page(const File& file, const PageDescriptor& descriptor, std::span<std::byte> page,
                                FileWindow* window) const {
  const DescriptorFault fault = fault_of(descriptor);
  if (fault == DescriptorFault::empty) return PageState::lost;
  if (fault != DescriptorFault::none) return PageState::unreadable;
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
  const bool good = codec::decompress_exactly(*codec_of_kdump_flags(descriptor.flags), bytes, page);
  return good ? PageState::present : PageState::unreadable;
}

}  // namespace kvista::image
