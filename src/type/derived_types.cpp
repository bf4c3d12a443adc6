#include "type/derived_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace kvista::type {
namespace {

constexpr unsigned kMostDepth = 32;
constexpr size_t kMostMembers = 100'000;
constexpr uint64_t kBits = 8;
constexpr uint64_t kMostSize = uint64_t{1} << 60;  // in bytes, so that bits can be counted

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return alignment == 0 ? value : (value + alignment - 1) / alignment * alignment;
}

uint64_t alignment_of(Type type, unsigned depth, size_t& seen) {
  const Type resolved = type.resolved();
  const Kind kind = resolved.kind();
  ++seen;
  if (kind != Kind::array && !resolved.is_compound())
    return std::bit_floor(std::clamp<uint64_t>(resolved.size(), 1, 16));
  if (depth > kMostDepth || seen > kMostMembers)
    throw FormatError(fmt::format("type {} holds itself", resolved.id()), resolved.id());
  if (kind == Kind::array) return alignment_of(resolved.target(), depth + 1, seen);
  uint64_t most = 1;
  for (const Member& member : resolved.members()) {
    // A packed member lies where its type could not.
    const uint64_t own = alignment_of(member.type, depth + 1, seen);
    if (member.bit_size != 0 || member.bit_offset % (own * kBits) == 0) most = std::max(most, own);
  }
  // Nor is a packed type's size what its members' alignment would make it.
  while (resolved.size() % most != 0) most /= 2;
  return most;
}

bool is_same(const TypeInfo& one, const TypeInfo& other) {
  return one.kind == other.kind && one.target == other.target && one.count == other.count &&
         one.size == other.size && one.is_signed == other.is_signed && one.name == other.name &&
         one.members.empty() && other.members.empty();
}

}  // namespace

uint64_t alignment_of(Type type) {
  size_t seen = 0;
  return alignment_of(type, 0, seen);
}

Type DerivedTypes::add(TypeInfo wanted) {
  const std::lock_guard lock(derived_mutex_);
  for (size_t i = 0; i < derived_.size(); ++i)
    if (is_same(derived_[i], wanted)) return {this, static_cast<uint32_t>(i)};
  derived_.push_back(std::move(wanted));
  return {this, static_cast<uint32_t>(derived_.size() - 1)};
}

Type DerivedTypes::pointer_to(Type target) {
  TypeInfo info;
  info.kind = Kind::pointer;
  info.size = word_size();
  info.target = target;
  return add(std::move(info));
}

Type DerivedTypes::array_of(Type element, uint64_t count) {
  TypeInfo info;
  info.kind = Kind::array;
  info.target = element;
  info.count = count;
  return add(std::move(info));
}

Type DerivedTypes::function_of(Type result) {
  TypeInfo info;
  info.kind = Kind::function;
  info.target = result;
  return add(std::move(info));
}

Type DerivedTypes::qualified(Type target, std::string_view qualifier) {
  TypeInfo info;
  info.kind = Kind::qualified;
  info.name = qualifier;
  info.target = target;
  return add(std::move(info));
}

Type DerivedTypes::basic(Kind kind, std::string_view name, uint64_t size, bool is_signed) {
  TypeInfo info;
  info.kind = kind;
  info.name = name;
  info.size = size;
  info.is_signed = is_signed;
  return add(std::move(info));
}

Type DerivedTypes::compound(Kind kind, const std::vector<NamedType>& members) {
  TypeInfo info;
  info.kind = kind;
  uint64_t end = 0;
  uint64_t alignment = 1;
  for (const NamedType& member : members) {
    const uint64_t own = alignment_of(member.type);
    const uint64_t at = kind == Kind::union_type ? 0 : align_up(end, own);
    const uint64_t size = member.type.size();
    if (at > kMostSize || size > kMostSize)
      throw FormatError(fmt::format("member {} is larger than any memory", member.name), member.type.id());
    end = std::max(end, at + size);
    alignment = std::max(alignment, own);
    const std::lock_guard lock(derived_mutex_);
    names_.push_back(member.name);
    info.members.push_back({names_.back(), member.type, at * kBits, 0});
  }
  info.size = align_up(end, alignment);
  return add(std::move(info));
}

TypeInfo DerivedTypes::describe(uint32_t id) const {
  const std::lock_guard lock(derived_mutex_);
  return derived_.at(id);
}

}  // namespace kvista::type
