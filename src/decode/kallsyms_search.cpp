#include "decode/kallsyms_search.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/parallel.h"

namespace kvista::decode {
namespace {

constexpr size_t kTokens = 256;
constexpr size_t kIndexBytes = kTokens * 2;
constexpr uint64_t kMinToken = 2;  // a character and its NUL
constexpr uint64_t kMaxToken = 128;
constexpr uint64_t kAlignment = 8;  // of each table: ALGN in scripts/kallsyms.c
constexpr uint64_t kNamesPerMarker = 256;
constexpr uint64_t kMaxNameBytes = 256;  // a compressed name and its length, before 6.1
constexpr uint64_t kMaxMarkers = 1 << 16;
constexpr size_t kMostTables = 8;

uint64_t align_down(uint64_t value) {
  return value & ~(kAlignment - 1);
}
uint64_t align_up(uint64_t value) {
  return align_down(value + kAlignment - 1);
}

// Memory read whole, or nothing.
std::vector<std::byte> take(const VirtReader& read, VirtAddr at, uint64_t size) {
  std::vector<std::byte> bytes(size);
  if (read(at, bytes) != size) bytes.clear();
  return bytes;
}

// Memory with zeros, which are no token index, for pages that are not there: a filtered dump lacks what the
// kernel freed of its own image, between text and read-only data and behind them.
void read_around_gaps(const VirtReader& read, VirtAddr at, std::span<std::byte> out) {
  constexpr uint64_t kPage = 4096;
  while (!out.empty()) {
    const size_t got = read(at, out);
    const size_t gap = std::min<uint64_t>(out.size() - got, kPage - (at + got).value % kPage);
    std::fill_n(out.begin() + static_cast<ptrdiff_t>(got), gap, std::byte{0});
    at = at + (got + gap);
    out = out.subspan(got + gap);
  }
}

// What stands before `end`: up to `most` bytes, as far as the image goes.
std::vector<std::byte> take_before(const VirtReader& read, VirtAddr image, VirtAddr end, uint64_t most) {
  most = std::min(most, align_down(end - image));
  std::vector<std::byte> bytes(most);
  read_around_gaps(read, end - most, bytes);
  return bytes;
}

// Starts of 256 tokens, each a little further than the one before.
bool is_token_index(const std::byte* at, ByteOrder order) {
  auto last = load<uint16_t>(at, order);
  if (last != 0) return false;
  for (size_t i = 1; i < kTokens; ++i) {
    const auto next = load<uint16_t>(at + 2 * i, order);
    if (next < last + kMinToken || next > last + kMaxToken) return false;
    last = next;
  }
  return true;
}

// The token table ends before the index: where all tokens that the index names begin behind a NUL.
std::optional<VirtAddr> find_token_table(const VirtReader& read, VirtAddr image, VirtAddr index_at,
                                         std::span<const std::byte> index, ByteOrder order) {
  const auto start = [&](size_t i) { return uint64_t{load<uint16_t>(&index[2 * i], order)}; };
  const auto before = take_before(read, image, index_at, align_up(start(kTokens - 1) + kMaxToken));
  const uint64_t most = before.size();
  const auto fits = [&](uint64_t table) {
    for (size_t i = 1; i < kTokens; ++i) {
      const uint64_t at = table + start(i);
      if (at >= most || before[at - 1] != std::byte{0} || before[at] == std::byte{0}) return false;
    }
    return true;
  };
  for (uint64_t back = align_up(start(kTokens - 1) + kMinToken); back <= most; back += kAlignment)
    if (fits(most - back)) return index_at - back;
  return std::nullopt;
}

// Markers: the offset of each 256th name, from 0 up. They were words until 4.20, and are 4 bytes wide since.
struct Markers {
  VirtAddr at;
  unsigned width;
  std::vector<uint64_t> values;
};

std::optional<Markers> find_markers(const VirtReader& read, VirtAddr token_table, ByteOrder order,
                                    unsigned width) {
  std::vector<uint64_t> values;
  VirtAddr at = token_table;
  while (values.size() < kMaxMarkers) {
    at = at - width;
    const auto bytes = take(read, at, width);
    if (bytes.empty()) return std::nullopt;
    const uint64_t value =
        width == 4 ? load<uint32_t>(bytes.data(), order) : load<uint64_t>(bytes.data(), order);
    if (values.empty() && value == 0 && token_table - at < kAlignment)
      continue;  // padding before the token table
    if (!values.empty() &&
        (value >= values.back() || values.back() - value > kNamesPerMarker * kMaxNameBytes))
      return std::nullopt;
    values.push_back(value);
    if (value != 0) continue;
    std::reverse(values.begin(), values.end());
    return values.size() > 1 ? std::optional(Markers{at, width, values}) : std::nullopt;
  }
  return std::nullopt;
}

// Whether the first 256 names, from the start of `names` on, end where the second marker says.
bool names_fit(std::span<const std::byte> names, uint64_t second_marker) {
  uint64_t at = 0;
  for (uint64_t i = 0; i < kNamesPerMarker && at < names.size(); ++i)
    at += 1 + std::to_integer<uint64_t>(names[at]);
  return at == second_marker;
}

// kallsyms_num_syms was a word until 4.20, too, and is 4 bytes and padding since: what follows it is aligned.
// In a word of big-endian machines its 4 bytes are the last.
struct Count {
  VirtAddr at;
  uint64_t value;
};

Count count_before(VirtAddr names, const std::byte* bytes, unsigned width, ByteOrder order) {
  const VirtAddr start = names - kAlignment;
  const auto word = load<uint64_t>(bytes, order);
  if (order == ByteOrder::little) return {start, word};
  constexpr int kHalf = 32;
  return width == 4 ? Count{start, std::rotl(word, kHalf)} : Count{start + 4, word};
}

// The names end before the markers, after the last of these; before the names stands their number, which the
// number of markers bounds.
std::optional<KallsymsTables> find_names(const VirtReader& read, VirtAddr image, const Markers& markers,
                                         ByteOrder order) {
  const uint64_t last = markers.values.back();
  const auto before =
      take_before(read, image, markers.at, align_up(last + kNamesPerMarker * kMaxNameBytes) + kAlignment);
  const uint64_t most = before.size();
  for (uint64_t back = align_up(last + 1); back + kAlignment <= most; back += kAlignment) {
    const uint64_t names = most - back;
    const auto [count_at, count] =
        count_before(markers.at - back, &before[names - kAlignment], markers.width, order);
    if (count <= (markers.values.size() - 1) * kNamesPerMarker ||
        count > markers.values.size() * kNamesPerMarker)
      continue;
    if (!names_fit(std::span(before).subspan(names), markers.values[1])) continue;
    KallsymsTables tables;
    tables.names = markers.at - back;
    tables.num_syms = count_at;
    tables.relative_base = tables.names - 2 * kAlignment;
    tables.offsets = *tables.relative_base - align_up(count * sizeof(uint32_t));
    tables.addresses = tables.names - kAlignment - count * sizeof(uint64_t);
    return tables;
  }
  return std::nullopt;
}

std::optional<KallsymsTables> tables_around(const VirtReader& read, VirtAddr image, VirtAddr index_at,
                                            std::span<const std::byte> index, ByteOrder order) {
  const auto token_table = find_token_table(read, image, index_at, index, order);
  if (!token_table) return std::nullopt;
  for (const unsigned width : {4U, 8U}) {
    const auto markers = find_markers(read, *token_table, order, width);
    auto tables = markers ? find_names(read, image, *markers, order) : std::nullopt;
    if (!tables) continue;
    tables->token_table = *token_table;
    tables->token_index = index_at;
    return tables;
  }
  return std::nullopt;
}

constexpr uint64_t kWindow = uint64_t{256} << 10;

// What looks like a token index and begins in the window from `at` on, of memory up to `last`.
std::vector<VirtAddr> find_token_indexes(const VirtReader& read, VirtAddr at, VirtAddr last,
                                         ByteOrder order) {
  std::vector<std::byte> window(std::min<uint64_t>(kWindow + kIndexBytes, last - at + 1));
  read_around_gaps(read, at, window);
  std::vector<VirtAddr> found;
  for (size_t i = 0; i + kIndexBytes <= window.size() && i < kWindow; i += kAlignment)
    if (is_token_index(&window[i], order)) found.push_back(at + i);
  return found;
}

// Whether a page holds words that only rise, or only fall: offsets of symbols, in the order of their
// addresses, are stored negative where per-CPU ones are absolute (CONFIG_KALLSYMS_ABSOLUTE_PERCPU).
bool is_sorted_page(std::span<const std::byte> page, ByteOrder order) {
  bool rises = true;
  bool falls = true;
  const auto first = load<uint32_t>(page.data(), order);
  auto last = first;
  for (size_t i = sizeof(last); i < page.size(); i += sizeof(last)) {
    const auto next = load<uint32_t>(&page[i], order);
    rises = rises && next >= last;
    falls = falls && next <= last;
    if (!rises && !falls) return false;
    last = next;
  }
  return first != last;
}

// Where a table of offsets seems to be, by samples: most of the image is text, which need not be read then.
std::optional<VirtAddr> find_offsets(const VirtReader& read, VirtRange image, ByteOrder order) {
  constexpr uint64_t kPage = 4096;
  constexpr uint64_t kStep = uint64_t{128} << 10;  // a table of 33 thousand symbols holds a sample
  std::vector<std::byte> page(kPage);
  for (VirtAddr at{image.first.value & ~(kPage - 1)}; at <= image.last; at = at + kStep)
    if (at >= image.first && read(at, page) == kPage && is_sorted_page(page, order)) return at;
  return std::nullopt;
}

std::vector<KallsymsTables> search_part(const VirtReader& read, VirtRange image, VirtRange part,
                                        ByteOrder order, unsigned threads) {
  std::vector<std::vector<VirtAddr>> found((part.last - part.first) / kWindow + 1);
  parallel_for(found.size(), threads, [&](size_t i, unsigned) {
    found[i] = find_token_indexes(read, part.first + i * kWindow, part.last, order);
  });
  std::vector<KallsymsTables> all;
  for (const auto& indexes : found)
    for (const VirtAddr at : indexes) {
      const auto index = take(read, at, kIndexBytes);
      const auto tables = index.empty() ? std::nullopt : tables_around(read, image.first, at, index, order);
      if (tables) all.push_back(*tables);
      if (all.size() == kMostTables) return all;
    }
  return all;
}

}  // namespace

std::vector<KallsymsTables> search_kallsyms(const VirtReader& read, VirtRange image, ByteOrder order,
                                            unsigned threads) {
  constexpr uint64_t kMostBehind = uint64_t{4} << 20;  // offsets, and the names of 200 thousand symbols
  if (const auto offsets = find_offsets(read, image, order)) {
    const VirtAddr last = image.last - *offsets < kMostBehind ? image.last : *offsets + kMostBehind;
    auto found = search_part(read, image, {*offsets, last}, order, threads);
    if (!found.empty()) return found;
  }
  return search_part(read, image, image, order, threads);
}

}  // namespace kvista::decode
