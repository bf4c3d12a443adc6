#include "decode/kallsyms_lookup.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr size_t kNumberSize = 3;  // big-endian, whatever the kernel's byte order
constexpr size_t kSamples = 32;

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// FNV-1a.
uint32_t hash_of(std::string_view name) {
  uint32_t hash = 2166136261;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return hash;
}

// Where the sorted numbers can be: behind the offsets since 7.0 (a081b5789255), behind the relative base
// since 6.4 (404bad70fcf7), before the token table in 6.2 and 6.3.
std::vector<VirtAddr> places(const KallsymsTables& tables, size_t count, unsigned word_size) {
  std::vector<VirtAddr> all;
  if (tables.relative_base) all.push_back(*tables.relative_base + word_size);
  // Since 7.0 tables are aligned to 4 bytes each.
  if (tables.offsets && !tables.relative_base) all.push_back(*tables.offsets + count * sizeof(uint32_t));
  if (tables.addresses) all.push_back(*tables.addresses + count * word_size);
  all.push_back(tables.token_table - align_up(count * kNumberSize, word_size));
  return all;
}

}  // namespace

KallsymsLookup::KallsymsLookup(const Kallsyms& table) : table_(table) {
  for (const VirtAddr place : places(table.tables(), table.size(), table.word_size()))
    if (looks_sorted(place)) return;
}

std::optional<size_t> KallsymsLookup::number_at(size_t position) const {
  std::array<std::byte, kNumberSize> bytes{};
  if (table_.reader()(*sorted_ + position * kNumberSize, bytes) != bytes.size()) return std::nullopt;
  const size_t number = load_sized(bytes, ByteOrder::big);
  return number < table_.size() ? std::optional(number) : std::nullopt;
}

// Neighbours all over the table must be in order. Where that holds by chance, a search notices.
bool KallsymsLookup::looks_sorted(VirtAddr place) {
  sorted_ = place;
  const size_t count = table_.size();
  for (size_t i = 0; i < kSamples; ++i) {
    const size_t position = count < 2 ? 0 : (count - 2) * i / (kSamples - 1);
    const auto one = number_at(position);
    const auto other = number_at(std::min(position + 1, count - 1));
    const auto one_name = one ? table_.name_at(*one) : std::nullopt;
    const auto other_name = other ? table_.name_at(*other) : std::nullopt;
    const bool is_ordered = one_name && other_name &&
                            std::string_view(*one_name).substr(1) <= std::string_view(*other_name).substr(1);
    if (is_ordered && (count < 2 || *one != *other)) continue;
    sorted_.reset();
    return false;
  }
  return true;
}

// Nothing where the order turns out to be damaged.
std::optional<std::vector<size_t>> KallsymsLookup::find_sorted(std::string_view name) const {
  const auto name_of = [&](size_t position) {
    const auto number = number_at(position);
    return number ? table_.name_at(*number) : std::nullopt;
  };
  size_t low = 0;
  size_t high = table_.size();
  std::string below;  // the names between which the search goes on
  std::string above;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const auto found = name_of(middle);
    if (!found) return std::nullopt;
    std::string bare = found->substr(1);
    if (bare < below || (!above.empty() && bare > above)) return std::nullopt;
    if (bare < name) {
      low = middle + 1;
      below = std::move(bare);
    } else {
      high = middle;
      above = std::move(bare);
    }
  }
  std::vector<size_t> numbers;
  for (size_t position = low; position < table_.size(); ++position) {
    const auto found = name_of(position);
    if (!found) return std::nullopt;
    if (std::string_view(*found).substr(1) != name) break;
    numbers.push_back(*number_at(position));
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

void KallsymsLookup::fill_slots() const {
  slots_.resize(std::bit_ceil(table_.size() * 3 / 2 + 1));
  const size_t mask = slots_.size() - 1;
  try {
    table_.for_each_name([&](size_t number, std::string_view name) {
      const uint32_t hash = hash_of(name);
      size_t at = hash & mask;
      while (slots_[at].number != 0) at = (at + 1) & mask;
      slots_[at] = {hash, static_cast<uint32_t>(number + 1)};
    });
  } catch (const FormatError&) {
    // The names end early: what came before is known.
  }
}

std::vector<size_t> KallsymsLookup::find_hashed(std::string_view name) const {
  std::call_once(once_, [this] { fill_slots(); });
  const size_t mask = slots_.size() - 1;
  const uint32_t hash = hash_of(name);
  std::vector<size_t> numbers;
  for (size_t at = hash & mask; slots_[at].number != 0; at = (at + 1) & mask) {
    if (slots_[at].hash != hash) continue;
    const size_t number = slots_[at].number - 1;
    const auto found = table_.name_at(number);
    if (found && std::string_view(*found).substr(1) == name) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<size_t> KallsymsLookup::find(std::string_view name) const {
  if (sorted_)
    if (auto found = find_sorted(name)) return *found;
  return find_hashed(name);
}

}  // namespace kvista::decode
