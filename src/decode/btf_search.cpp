#include "decode/btf_search.h"

#include <algorithm>

#include "base/error.h"
#include "decode/btf.h"

namespace kvista::decode {
namespace {

constexpr size_t kWindow = size_t{64} << 10;
constexpr size_t kPage = 4096;
constexpr size_t kAlignment = 4;
constexpr size_t kMostTables = 4;
constexpr const char* kKnownStruct = "task_struct";

// The table that begins at `at`, where it is that of a kernel.
std::vector<std::byte> table_at(const VirtReader& read, VirtAddr at, uint64_t size, ByteOrder order) {
  std::vector<std::byte> bytes(size);
  if (read(at, bytes) != size) return {};
  try {
    const Btf btf(bytes, order);
    return btf.damage().empty() && !btf.find(kKnownStruct).empty() ? bytes : std::vector<std::byte>();
  } catch (const FormatError&) {
    return {};
  }
}

}  // namespace

std::vector<std::vector<std::byte>> search_btf(const VirtReader& read, VirtRange image, ByteOrder order) {
  std::vector<std::vector<std::byte>> found;
  std::vector<std::byte> window(kWindow + kBtfHeader);
  for (VirtAddr at = image.first; at <= image.last && found.size() < kMostTables;) {
    const size_t wanted = std::min<uint64_t>(window.size(), image.last - at + 1);
    const size_t got = read(at, std::span(window).first(wanted));
    VirtAddr next = at + std::min<uint64_t>(kWindow, wanted);
    // Pages of the image that the kernel freed are passed over.
    if (got < wanted) next = VirtAddr{((at + got).value & ~(kPage - 1)) + kPage};
    for (size_t i = 0; i + kBtfHeader <= got && i < kWindow; i += kAlignment) {
      const uint64_t size = btf_size(std::span(window).subspan(i, kBtfHeader), order);
      if (size <= kBtfHeader || size > image.last - (at + i)) continue;
      auto table = table_at(read, at + i, size, order);
      if (table.empty()) continue;
      found.push_back(std::move(table));
      next = VirtAddr{((at + (i + size)).value + kAlignment - 1) & ~uint64_t{kAlignment - 1}};
      break;
    }
    if (next <= at) break;  // the end of the address space
    at = next;
  }
  return found;
}

}  // namespace kvista::decode
