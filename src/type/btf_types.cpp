#include "type/btf_types.h"

namespace kvista::type {
namespace {

using decode::BtfId;
using decode::BtfKind;
using decode::BtfType;

Kind kind_of(BtfKind kind) {
  switch (kind) {
    case BtfKind::integer:
      return Kind::integer;
    case BtfKind::pointer:
      return Kind::pointer;
    case BtfKind::array:
      return Kind::array;
    case BtfKind::structure:
      return Kind::structure;
    case BtfKind::union_type:
      return Kind::union_type;
    case BtfKind::enumeration:
    case BtfKind::enumeration64:
      return Kind::enumeration;
    case BtfKind::forward:
      return Kind::forward;
    case BtfKind::type_definition:
      return Kind::type_definition;
    case BtfKind::prototype:
      return Kind::function;
    case BtfKind::floating:
      return Kind::floating;
    case BtfKind::volatile_type:
    case BtfKind::const_type:
    case BtfKind::restrict_type:
    case BtfKind::type_tag:
      return Kind::qualified;
    default:
      return Kind::nothing;
  }
}

std::string_view qualifier(const BtfType& type) {
  switch (type.kind) {
    case BtfKind::volatile_type:
      return "volatile";
    case BtfKind::const_type:
      return "const";
    case BtfKind::restrict_type:
      return "restrict";
    default:
      return type.name;  // a tag: "user", "percpu", "rcu"
  }
}

}  // namespace

BtfTypes::BtfTypes(std::vector<std::byte> bytes, ByteOrder order, unsigned word_size, const BtfTypes* base)
    : TypeTable(word_size),
      base_(base),
      btf_(std::move(bytes), order, base == nullptr ? nullptr : &base->btf_) {}

Type BtfTypes::type_of(BtfId id) const {
  if (id == 0) return {};
  if (id < btf_.first_id() && base_ != nullptr) return base_->type_of(id);
  return {this, id};
}

void BtfTypes::describe_compound(const BtfType& type, TypeInfo& info) const {
  info.size = type.size_or_type;
  const auto members = btf_.members(type);
  info.members.reserve(members.size());
  for (const decode::BtfMember& member : members) {
    Member own{member.name, type_of(member.type), member.bit_offset, member.bit_size};
    if (own.bit_size == 0 && !type.flag && member.type < btf_.end_id()) {
      // Before 5.0 (pahole 1.13) a bit-field's size was its integer's, and so was a part of its offset.
      const BtfType of = btf_.type(member.type);
      const auto integer = of.kind == BtfKind::integer ? btf_.integer(of) : decode::BtfInteger{};
      if (integer.bits != 0 && integer.bits != of.size_or_type * 8) {
        own.bit_size = integer.bits;
        own.bit_offset += integer.bit_offset;
      }
    }
    info.members.push_back(own);
  }
}

TypeInfo BtfTypes::describe(uint32_t id) const {
  const BtfType type = btf_.type(id);
  TypeInfo info;
  info.kind = kind_of(type.kind);
  info.name = info.kind == Kind::qualified ? qualifier(type) : type.name;
  switch (info.kind) {
    case Kind::integer: {
      const auto integer = btf_.integer(type);
      info.size = type.size_or_type;
      info.is_signed = integer.is_signed;
      if (integer.is_boolean) info.kind = Kind::boolean;
      // gcc's BTF marks no characters; pahole's neither.
      else if (integer.is_character ||
               (info.size == 1 &&
                (type.name == "char" || type.name == "unsigned char" || type.name == "signed char")))
        info.kind = Kind::character;
      break;
    }
    case Kind::floating:
      info.size = type.size_or_type;
      break;
    case Kind::pointer:
      info.size = word_size();
      info.target = type_of(type.size_or_type);
      break;
    case Kind::array: {
      const auto array = btf_.array(type);
      info.target = type_of(array.element);
      info.count = array.count;
      break;
    }
    case Kind::structure:
    case Kind::union_type:
      describe_compound(type, info);
      break;
    case Kind::enumeration:
      info.size = type.size_or_type;
      info.is_signed = type.flag;
      for (const auto& one : btf_.enumerators(type)) info.enumerators.push_back({one.name, one.value});
      break;
    case Kind::forward:
      info.is_union = type.flag;
      break;
    case Kind::function:
      info.target = type_of(type.size_or_type);
      for (const auto& one : btf_.members(type)) info.members.push_back({one.name, type_of(one.type), 0, 0});
      break;
    case Kind::type_definition:
    case Kind::qualified:
      info.target = type_of(type.size_or_type);
      break;
    default:
      break;
  }
  return info;
}

std::vector<Type> BtfTypes::find(std::string_view name, Kind kind) const {
  std::vector<Type> found;
  for (const BtfId id : btf_.find(name)) {
    const BtfKind btf_kind = btf_.type(id).kind;
    // Integers of BTF can be characters and booleans.
    const Kind own = btf_kind == BtfKind::integer ? info(id).kind : kind_of(btf_kind);
    if (own == kind) found.emplace_back(this, id);
  }
  put_complete_first(found);
  return found;
}

std::optional<Type> BtfTypes::target_of(std::string_view name, BtfKind kind) const {
  for (const BtfId id : btf_.find(name))
    if (const BtfType type = btf_.type(id); type.kind == kind) return type_of(type.size_or_type);
  return std::nullopt;
}

std::optional<Type> BtfTypes::variable(std::string_view name) const {
  return target_of(name, BtfKind::variable);
}

std::optional<Type> BtfTypes::function(std::string_view name) const {
  return target_of(name, BtfKind::function);
}

std::vector<Type> BtfTypes::functions(std::string_view name) const {
  const auto found = function(name);
  return found ? std::vector{*found} : std::vector<Type>{};
}

std::optional<uint64_t> BtfTypes::enumerator(std::string_view name) const {
  std::call_once(enumerators_once_, [this] {
    for (BtfId id = btf_.first_id(); id < btf_.end_id(); ++id) {
      const BtfType type = btf_.type(id);
      if (type.kind != BtfKind::enumeration && type.kind != BtfKind::enumeration64) continue;
      for (const auto& one : btf_.enumerators(type)) enumerators_.try_emplace(one.name, one.value);
    }
  });
  const auto found = enumerators_.find(name);
  return found == enumerators_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace kvista::type
