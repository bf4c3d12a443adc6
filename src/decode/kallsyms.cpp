#include "decode/kallsyms.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr uint32_t kMaxSymbols = 1 << 24;
constexpr size_t kTokens = 256;
constexpr size_t kMaxExpanded = 4096;  // KSYM_NAME_LEN is 512
constexpr std::array kEncodings = {KallsymsEncoding::place_relative, KallsymsEncoding::base_relative,
                                   KallsymsEncoding::base_relative_percpu, KallsymsEncoding::absolute};

template <typename T>
std::optional<T> read_integer(const VirtReader& read, VirtAddr at, ByteOrder order) {
  std::array<std::byte, sizeof(T)> bytes{};
  if (read(at, bytes) != bytes.size()) return std::nullopt;
  return load<T>(bytes.data(), order);
}

std::optional<uint64_t> read_word(const VirtReader& read, VirtAddr at, ByteOrder order, unsigned word_size) {
  if (word_size == 8) return read_integer<uint64_t>(read, at, order);
  return read_integer<uint32_t>(read, at, order);
}

void expand(std::span<const std::byte> name, const std::array<std::string, kTokens>& tokens,
            std::string& out) {
  out.clear();
  for (const std::byte token : name) {
    out += tokens.at(std::to_integer<size_t>(token));
    if (out.size() > kMaxExpanded) return;
  }
}

// For each length: whether one of `names` is so long.
std::vector<bool> possible_lengths(std::span<const std::string_view> names) {
  std::vector<bool> possible;
  for (const std::string_view name : names) {
    possible.resize(std::max(possible.size(), name.size() + 1));
    possible[name.size()] = true;
  }
  return possible;
}

// For each token: whether a symbol that begins with it can be one of `names`. The first letter is the type.
std::array<bool, kTokens> possible_starts(const std::array<std::string, kTokens>& tokens,
                                          std::span<const std::string_view> names) {
  std::array<bool, kTokens> possible{};
  for (size_t token = 0; token < kTokens; ++token) {
    if (tokens.at(token).empty()) continue;
    const std::string_view start = std::string_view(tokens.at(token)).substr(1);
    possible.at(token) = std::any_of(names.begin(), names.end(),
                                     [&](std::string_view name) { return name.starts_with(start); });
  }
  return possible;
}

// For each token: whether a symbol of several tokens that ends with it can be one of `names`.
std::array<bool, kTokens> possible_ends(const std::array<std::string, kTokens>& tokens,
                                        std::span<const std::string_view> names) {
  std::array<bool, kTokens> possible{};
  for (size_t token = 0; token < kTokens; ++token)
    possible.at(token) = !tokens.at(token).empty() &&
                         std::any_of(names.begin(), names.end(),
                                     [&](std::string_view name) { return name.ends_with(tokens.at(token)); });
  return possible;
}

}  // namespace

const char* describe(KallsymsEncoding encoding) {
  switch (encoding) {
    case KallsymsEncoding::place_relative:
      return "place-relative";
    case KallsymsEncoding::base_relative:
      return "base-relative";
    case KallsymsEncoding::base_relative_percpu:
      return "base-relative with absolute per-CPU";
    case KallsymsEncoding::absolute:
      return "absolute";
  }
  return "";
}

Kallsyms::Kallsyms(VirtReader read, const KallsymsTables& tables, ByteOrder order, unsigned word_size,
                   std::span<const Known> known, std::span<const std::string_view> wanted)
    : read_(std::move(read)), tables_(tables), order_(order), word_size_(word_size) {
  const auto count = read_integer<uint32_t>(read_, tables_.num_syms, order_);
  if (!count) throw FormatError("kallsyms_num_syms cannot be read", tables_.num_syms.value);
  if (*count == 0 || *count > kMaxSymbols)
    throw FormatError(fmt::format("kallsyms_num_syms is {}: no sensible number of symbols", *count),
                      tables_.num_syms.value);
  count_ = *count;
  if (tables_.relative_base) {
    const auto base = read_word(read_, *tables_.relative_base, order_, word_size_);
    if (!base) throw FormatError("kallsyms_relative_base cannot be read", tables_.relative_base->value);
    relative_base_ = *base;
  }
  load_tokens();

  names_.emplace(read_, tables_.names, tables_.token_table, count_, order_, word_size_);

  matched_names_.insert(wanted.begin(), wanted.end());
  for (const Known& one : known) matched_names_.emplace(one.name);
  matched_ = match(std::vector<std::string_view>(matched_names_.begin(), matched_names_.end()), &damaged_);
  for (const Known& one : known) {
    for (const Match& found : matched_) {
      if (std::string_view(found.expanded).substr(1) != one.name) continue;
      for (const KallsymsEncoding encoding : kEncodings) {
        if (address_at(found.index, encoding) != one.address) continue;
        encoding_ = encoding;
        return;
      }
    }
  }
  std::string addresses;
  for (const Known& one : known)
    addresses +=
        fmt::format("{}{} its address {:#x}", addresses.empty() ? "" : " or ", one.name, one.address.value);
  throw FormatError(
      fmt::format("no way of reading kallsyms' {} symbols{} gives {}", count_,
                  damaged_ == 0 ? "" : fmt::format(" ({} of them are damaged)", damaged_), addresses),
      tables_.names.value);
}

void Kallsyms::load_tokens() {
  std::array<std::byte, kTokens * 2> index{};
  if (read_(tables_.token_index, index) != index.size())
    throw FormatError("kallsyms_token_index cannot be read", tables_.token_index.value);
  std::array<uint16_t, kTokens> starts{};
  for (size_t i = 0; i < kTokens; ++i) starts.at(i) = load<uint16_t>(&index.at(size_t{2} * i), order_);
  constexpr size_t kMaxToken = 512;
  std::vector<std::byte> table(size_t{*std::max_element(starts.begin(), starts.end())} + kMaxToken);
  table.resize(read_(tables_.token_table, table));
  for (size_t i = 0; i < kTokens; ++i) {
    const size_t start = starts.at(i);
    const auto begin = table.begin() + static_cast<ptrdiff_t>(std::min(start, table.size()));
    const auto end = std::find(begin, table.end(), std::byte{0});
    if (end == table.end())
      throw FormatError(fmt::format("kallsyms_token_table: token {} does not end", i),
                        tables_.token_table.value + start);
    for (auto at = begin; at != end; ++at) tokens_.at(i) += static_cast<char>(*at);
  }
}

std::vector<Kallsyms::Match> Kallsyms::match(std::span<const std::string_view> names, size_t* damaged) const {
  const auto possible = possible_starts(tokens_, names);
  const auto ends = possible_ends(tokens_, names);
  const auto lengths = possible_lengths(names);
  std::vector<Match> found;
  std::string expanded;
  const size_t passed_over = names_->for_each(read_, [&](size_t i, std::span<const std::byte> name) {
    if (name.empty() || !possible.at(std::to_integer<size_t>(name[0]))) return;
    // Both ends and the length first: hardly any other symbol passes.
    if (name.size() > 1 && !ends.at(std::to_integer<size_t>(name.back()))) return;
    size_t length = 0;
    for (const std::byte token : name) length += tokens_[std::to_integer<size_t>(token)].size();
    if (length == 0 || length > lengths.size() || !lengths[length - 1]) return;
    expand(name, tokens_, expanded);
    const std::string_view bare = std::string_view(expanded).substr(std::min<size_t>(1, expanded.size()));
    if (std::find(names.begin(), names.end(), bare) != names.end()) found.push_back({i, expanded});
  });
  if (damaged != nullptr) *damaged = passed_over;
  return found;
}

std::optional<VirtAddr> Kallsyms::address_table(KallsymsEncoding encoding) const {
  if (encoding == KallsymsEncoding::absolute) return tables_.addresses;
  if (encoding != KallsymsEncoding::place_relative && !tables_.relative_base) return std::nullopt;
  return tables_.offsets;
}

size_t Kallsyms::address_width(KallsymsEncoding encoding) const {
  return encoding == KallsymsEncoding::absolute ? word_size_ : sizeof(uint32_t);
}

std::optional<VirtAddr> Kallsyms::decode_address(std::span<const std::byte> raw, size_t index,
                                                 KallsymsEncoding encoding) const {
  const uint64_t number = load_sized(raw, order_);
  const auto offset = static_cast<int32_t>(static_cast<uint32_t>(number));
  const auto sign_extended = static_cast<uint64_t>(int64_t{offset});
  switch (encoding) {
    case KallsymsEncoding::absolute:
      return VirtAddr{number};
    case KallsymsEncoding::place_relative:
      return *tables_.offsets + index * sizeof(uint32_t) + sign_extended;
    case KallsymsEncoding::base_relative:
      return VirtAddr{relative_base_ + number};
    default:
      return VirtAddr{offset >= 0 ? sign_extended : relative_base_ - 1 - sign_extended};
  }
}

std::optional<VirtAddr> Kallsyms::address_at(size_t index, KallsymsEncoding encoding) const {
  const auto table = address_table(encoding);
  if (!table) return std::nullopt;
  std::array<std::byte, sizeof(uint64_t)> bytes{};
  const auto raw = std::span(bytes).first(address_width(encoding));
  if (read_(*table + index * raw.size(), raw) != raw.size()) return std::nullopt;
  return decode_address(raw, index, encoding);
}

VirtAddr Kallsyms::address_of(size_t index) const {
  const auto address = address_at(index, encoding_);
  if (!address)
    throw FormatError(fmt::format("the address of kallsyms symbol {} cannot be read", index), index);
  return *address;
}

// Two symbols on either side are asked, since a neighbour's own address may be the damaged one.
bool Kallsyms::fits_neighbours(size_t index, VirtAddr address) const {
  size_t below = 0;
  size_t above = 0;
  for (size_t distance = 1; distance <= 2; ++distance) {
    if (index >= distance)
      if (const auto before = address_at(index - distance, encoding_); before && *before > address) ++below;
    if (index + distance < count_)
      if (const auto after = address_at(index + distance, encoding_); after && *after < address) ++above;
  }
  const size_t all_below = std::min<size_t>(index, 2);
  const size_t all_above = std::min<size_t>(count_ - 1 - index, 2);
  return (all_below == 0 || below < all_below) && (all_above == 0 || above < all_above);
}

std::vector<KallsymsSymbol> Kallsyms::find(std::span<const std::string_view> names) const {
  const bool is_matched = std::all_of(
      names.begin(), names.end(), [this](std::string_view name) { return matched_names_.contains(name); });
  std::vector<KallsymsSymbol> symbols;
  for (const Match& found : is_matched ? matched_ : match(names)) {
    if (std::find(names.begin(), names.end(), std::string_view(found.expanded).substr(1)) == names.end())
      continue;
    const VirtAddr address = address_of(found.index);
    if (fits_neighbours(found.index, address))
      symbols.push_back({address, found.expanded[0], found.expanded.substr(1)});
  }
  return symbols;
}

std::optional<std::string> Kallsyms::name_at(size_t index) const {
  std::string name;
  if (names_->has_markers()) {
    const auto tokens = names_->at(read_, index);
    if (!tokens) return std::nullopt;
    expand(*tokens, tokens_, name);
  } else {
    names_->for_each(read_, [&](size_t i, std::span<const std::byte> tokens) {
      if (i == index) expand(tokens, tokens_, name);
    });
  }
  return name.empty() ? std::nullopt : std::optional(std::move(name));
}

std::optional<KallsymsSymbol> Kallsyms::at(size_t index) const {
  if (index >= count_) return std::nullopt;
  const auto name = name_at(index);
  const auto address = address_at(index, encoding_);
  if (!name || !address) return std::nullopt;
  return KallsymsSymbol{*address, (*name)[0], name->substr(1)};
}

std::optional<Kallsyms::Near> Kallsyms::near(VirtAddr address) const {
  // The number of symbols at or before the address; what cannot be read counts as behind it.
  size_t low = 0;
  size_t high = count_;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const auto at = address_at(middle, encoding_);
    if (at && *at <= address)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0) return std::nullopt;
  const VirtAddr start = *address_at(low - 1, encoding_);
  Near near{low - 1, low < count_ ? address_at(low, encoding_) : std::nullopt};
  while (near.index > 0 && address_at(near.index - 1, encoding_) == start) --near.index;
  return near;
}

void Kallsyms::for_each_name(const std::function<void(size_t, std::string_view)>& visit) const {
  std::string name;
  names_->for_each(read_, [&](size_t i, std::span<const std::byte> tokens) {
    expand(tokens, tokens_, name);
    visit(i, std::string_view(name).substr(std::min<size_t>(1, name.size())));
  });
}

void Kallsyms::for_each(const std::function<void(const KallsymsSymbol&)>& visit) const {
  constexpr size_t kPiece = 4096;  // addresses that are read at a time
  const size_t width = address_width(encoding_);
  const VirtAddr table = *address_table(encoding_);
  std::vector<std::byte> piece;
  size_t first = 0;
  KallsymsSymbol symbol;
  names_->for_each(read_, [&](size_t i, std::span<const std::byte> name) {
    if (i < first || (i - first + 1) * width > piece.size()) {
      first = i;
      piece.resize(std::min(kPiece, count_ - first) * width);
      piece.resize(read_(table + first * width, piece));
      if (piece.size() < width)
        throw FormatError(fmt::format("the address of kallsyms symbol {} cannot be read", i), i);
    }
    expand(name, tokens_, symbol.name);
    symbol.type = symbol.name.empty() ? '?' : symbol.name[0];
    symbol.name.erase(0, 1);
    symbol.address = *decode_address(std::span(piece).subspan((i - first) * width, width), i, encoding_);
    visit(symbol);
  });
}

}  // namespace kvista::decode
