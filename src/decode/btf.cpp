#include "decode/btf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

#include "base/cursor.h"
#include "base/error.h"

namespace kvista::decode {
namespace {

constexpr uint16_t kMagic = 0xeb9f;
constexpr uint8_t kVersion = 1;
constexpr uint64_t kMostBytes = uint64_t{256} << 20;
constexpr size_t kTypeSize = 12;  // sizeof(struct btf_type)

struct Header {
  uint64_t size = 0;  // of the header
  uint64_t types = 0;
  uint64_t types_size = 0;
  uint64_t strings = 0;
  uint64_t strings_size = 0;

  uint64_t whole() const { return size + std::max(types + types_size, strings + strings_size); }
};

std::optional<Header> read_header(std::span<const std::byte> bytes, ByteOrder order) {
  Cursor cursor(bytes, order);
  const bool is_btf = cursor.u16() == kMagic && cursor.u8() == kVersion;
  cursor.skip(1);  // flags
  Header header;
  header.size = cursor.u32();
  header.types = cursor.u32();
  header.types_size = cursor.u32();
  header.strings = cursor.u32();
  header.strings_size = cursor.u32();
  const bool is_sensible = header.size >= kBtfHeader && header.whole() <= kMostBytes;
  return cursor.ok() && is_btf && is_sensible ? std::optional(header) : std::nullopt;
}

struct KindInfo {
  std::string_view name;
  size_t once;       // bytes that follow the type
  size_t per_entry;  // and for each entry
};

constexpr std::array<KindInfo, 20> kKinds = {
    {{"UNKN", 0, 0},     {"INT", 4, 0},      {"PTR", 0, 0},      {"ARRAY", 12, 0},     {"STRUCT", 0, 12},
     {"UNION", 0, 12},   {"ENUM", 0, 8},     {"FWD", 0, 0},      {"TYPEDEF", 0, 0},    {"VOLATILE", 0, 0},
     {"CONST", 0, 0},    {"RESTRICT", 0, 0}, {"FUNC", 0, 0},     {"FUNC_PROTO", 0, 8}, {"VAR", 4, 0},
     {"DATASEC", 0, 12}, {"FLOAT", 0, 0},    {"DECL_TAG", 4, 0}, {"TYPE_TAG", 0, 0},   {"ENUM64", 0, 12}}};

struct Info {
  uint8_t kind;
  bool flag;
  uint16_t entries;
};
Info split_info(uint32_t info) {
  return {static_cast<uint8_t>(info >> 24 & 0x1f), (info >> 31) != 0, static_cast<uint16_t>(info)};
}

}  // namespace

std::string_view name_of(BtfKind kind) {
  const auto at = static_cast<size_t>(kind);
  return at < kKinds.size() ? kKinds.at(at).name : std::string_view();
}

uint64_t btf_size(std::span<const std::byte> header, ByteOrder order) {
  const auto found = read_header(header, order);
  return found ? found->whole() : 0;
}

Btf::Btf(std::vector<std::byte> bytes, ByteOrder order, const Btf* base)
    : bytes_(std::move(bytes)), order_(order), base_(base) {
  const auto header = read_header(bytes_, order);
  if (!header) throw FormatError("this is no BTF: its header makes no sense", 0);
  const std::span<const std::byte> rest =
      std::span<const std::byte>(bytes_).subspan(std::min<uint64_t>(header->size, bytes_.size()));
  const auto part = [&](uint64_t from, uint64_t size) {
    from = std::min<uint64_t>(from, rest.size());
    return rest.subspan(from, std::min<uint64_t>(size, rest.size() - from));
  };
  types_ = part(header->types, header->types_size);
  strings_ = part(header->strings, header->strings_size);
  if (types_.size() < header->types_size || strings_.size() < header->strings_size)
    damage_ = fmt::format("BTF is cut: its header names {} bytes, of which {} are there", header->whole(),
                          bytes_.size());
  if (base != nullptr) {
    first_id_ = base->end_id();
    first_string_ = base->first_string_ + static_cast<uint32_t>(base->strings_.size());
  }
  find_types();
}

uint32_t Btf::u32(std::span<const std::byte> data, size_t word) const {
  const size_t at = word * sizeof(uint32_t);
  return at + sizeof(uint32_t) <= data.size() ? load<uint32_t>(&data[at], order_) : 0;
}

void Btf::find_types() {
  starts_.reserve(types_.size() / 40);  // what a type takes on average
  size_t at = 0;
  while (at < types_.size()) {
    if (types_.size() - at < kTypeSize) break;
    const Info info = split_info(u32(types_.subspan(at), 1));
    if (info.kind == 0 || info.kind >= kKinds.size()) {
      damage_ =
          fmt::format("BTF type {} is of kind {}, which kvista does not know: the types before it are used",
                      end_id(), info.kind);
      return;
    }
    const KindInfo& kind = kKinds.at(info.kind);
    const size_t size = kTypeSize + kind.once + info.entries * kind.per_entry;
    if (types_.size() - at < size) break;
    starts_.push_back(static_cast<uint32_t>(at));
    at += size;
  }
  if (at < types_.size() && damage_.empty())
    damage_ = fmt::format("BTF type {} goes beyond the end of the types: those before it are used", end_id());
}

std::string_view Btf::string(uint32_t offset) const {
  if (offset < first_string_) return base_->string(offset);
  const size_t at = offset - first_string_;
  return at < strings_.size() ? as_text(strings_.subspan(at)) : std::string_view();
}

BtfType Btf::type(BtfId id) const {
  if (id < first_id_ && base_ != nullptr) return base_->type(id);
  if (id == 0) return {};
  if (id < first_id_ || id >= end_id())
    throw FormatError(fmt::format("BTF refers to type {}, and has {}", id, end_id() - 1), id);
  const auto bytes = types_.subspan(starts_[id - first_id_]);
  const Info info = split_info(u32(bytes, 1));
  const KindInfo& kind = kKinds.at(info.kind);
  return {static_cast<BtfKind>(info.kind),
          info.flag,
          info.entries,
          u32(bytes, 2),
          string(u32(bytes, 0)),
          bytes.subspan(kTypeSize, kind.once + info.entries * kind.per_entry)};
}

std::vector<BtfMember> Btf::members(const BtfType& type) const {
  std::vector<BtfMember> members;
  members.reserve(type.entries);
  const bool is_prototype = type.kind == BtfKind::prototype;
  const size_t words = is_prototype ? 2 : 3;
  for (size_t i = 0; i < type.entries; ++i) {
    const uint32_t offset = is_prototype ? 0 : u32(type.data, i * words + 2);
    members.push_back({string(u32(type.data, i * words)), u32(type.data, i * words + 1),
                       type.flag ? offset & 0xffffff : offset, type.flag ? offset >> 24 : 0});
  }
  return members;
}

std::vector<BtfEnumerator> Btf::enumerators(const BtfType& type) const {
  std::vector<BtfEnumerator> values;
  values.reserve(type.entries);
  const bool is_wide = type.kind == BtfKind::enumeration64;
  const size_t words = is_wide ? 3 : 2;
  for (size_t i = 0; i < type.entries; ++i) {
    const uint32_t low = u32(type.data, i * words + 1);
    uint64_t value = low;
    if (is_wide)
      value |= uint64_t{u32(type.data, i * words + 2)} << 32;
    else if (type.flag)
      value = static_cast<uint64_t>(int64_t{static_cast<int32_t>(low)});
    values.push_back({string(u32(type.data, i * words)), value});
  }
  return values;
}

BtfArray Btf::array(const BtfType& type) const {
  return {u32(type.data, 0), u32(type.data, 1), u32(type.data, 2)};
}

BtfInteger Btf::integer(const BtfType& type) const {
  const uint32_t word = u32(type.data, 0);
  const uint32_t encoding = word >> 24 & 0xf;
  return {(encoding & 1) != 0, (encoding & 2) != 0, (encoding & 4) != 0, static_cast<uint8_t>(word >> 16),
          static_cast<uint8_t>(word)};
}

std::vector<BtfVariable> Btf::variables(const BtfType& type) const {
  std::vector<BtfVariable> variables;
  for (size_t i = 0; i < type.entries; ++i)
    variables.push_back({u32(type.data, 3 * i), u32(type.data, 3 * i + 1), u32(type.data, 3 * i + 2)});
  return variables;
}

uint32_t Btf::word(const BtfType& type) const {
  return u32(type.data, 0);
}

void Btf::index_names() const {
  size_t slots = 16;
  while (slots < 2 * starts_.size()) slots *= 2;
  index_.assign(slots, 0);
  const std::hash<std::string_view> hash;
  for (BtfId id = first_id_; id < end_id(); ++id) {
    const std::string_view name = string(u32(types_.subspan(starts_[id - first_id_]), 0));
    if (name.empty()) continue;
    size_t slot = hash(name) & (slots - 1);
    while (index_[slot] != 0) slot = (slot + 1) & (slots - 1);
    index_[slot] = id;
  }
}

std::vector<BtfId> Btf::find(std::string_view name) const {
  std::call_once(indexed_, [this] { index_names(); });
  std::vector<BtfId> found;
  if (name.empty()) return found;
  const size_t mask = index_.size() - 1;
  for (size_t slot = std::hash<std::string_view>()(name) & mask; index_[slot] != 0; slot = (slot + 1) & mask)
    if (string(u32(types_.subspan(starts_[index_[slot] - first_id_]), 0)) == name)
      found.push_back(index_[slot]);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace kvista::decode
