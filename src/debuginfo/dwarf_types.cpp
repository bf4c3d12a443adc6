#include "debuginfo/dwarf_types.h"

#include <dwarf.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "debuginfo/dwarf_enumerator.h"

namespace kvista::debuginfo {
namespace {

using type::Kind;
using type::Member;
using type::Type;
using type::TypeInfo;

constexpr unsigned kBits = 8;
constexpr unsigned kMostSteps = 64;         // of typedefs and qualifiers
constexpr size_t kMostMembers = 1'000'000;  // of one type
constexpr size_t kMostDimensions = 64;
constexpr uint64_t kMostSize = uint64_t{1} << 48;  // of one type, in bytes

Kind kind_of(int tag) {
  switch (tag) {
    case DW_TAG_base_type:
      return Kind::integer;
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
      return Kind::pointer;
    case DW_TAG_array_type:
      return Kind::array;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
      return Kind::structure;
    case DW_TAG_union_type:
      return Kind::union_type;
    case DW_TAG_enumeration_type:
      return Kind::enumeration;
    case DW_TAG_subroutine_type:
    case DW_TAG_subprogram:
      return Kind::function;
    case DW_TAG_typedef:
      return Kind::type_definition;
    case DW_TAG_const_type:
    case DW_TAG_volatile_type:
    case DW_TAG_restrict_type:
    case DW_TAG_atomic_type:
      return Kind::qualified;
    default:
      return Kind::nothing;
  }
}

std::string_view qualifier(int tag) {
  switch (tag) {
    case DW_TAG_const_type:
      return "const";
    case DW_TAG_volatile_type:
      return "volatile";
    case DW_TAG_restrict_type:
      return "restrict";
    default:
      return "_Atomic";
  }
}

bool is_tagged(Kind kind) {
  return kind == Kind::structure || kind == Kind::union_type || kind == Kind::enumeration;
}

std::optional<EntryKind> entry_kind(Kind kind) {
  switch (kind) {
    case Kind::structure:
      return EntryKind::structure;
    case Kind::union_type:
      return EntryKind::union_type;
    case Kind::enumeration:
      return EntryKind::enumeration;
    case Kind::type_definition:
      return EntryKind::type_definition;
    case Kind::integer:
    case Kind::boolean:
    case Kind::character:
    case Kind::floating:
      return EntryKind::base;
    default:
      return std::nullopt;
  }
}

// Only declared here; of what a type unit defines, compilers do not always say that this is a declaration.
bool is_declaration(Dwarf_Die& die) {
  return dwarf_hasattr(&die, DW_AT_declaration) != 0 || dwarf_hasattr(&die, DW_AT_signature) != 0;
}

uint64_t size_of(Dwarf_Die& die) {
  const uint64_t size = number_of(die, DW_AT_byte_size).value_or(0);
  if (size > kMostSize) fail_at(die, fmt::format("a type of {} bytes is larger than any memory", size));
  return size;
}

void describe_base(Dwarf_Die& die, TypeInfo& info) {
  info.size = size_of(die);
  switch (number_of(die, DW_AT_encoding).value_or(0)) {
    case DW_ATE_boolean:
      info.kind = Kind::boolean;
      break;
    case DW_ATE_float:
    case DW_ATE_complex_float:
      info.kind = Kind::floating;
      break;
    case DW_ATE_signed_char:
      info.kind = Kind::character;
      info.is_signed = true;
      break;
    case DW_ATE_unsigned_char:
      info.kind = Kind::character;
      break;
    case DW_ATE_signed:
      info.is_signed = true;
      break;
    default:
      break;
  }
}

void describe_enumeration(Dwarf_Die& die, TypeInfo& info) {
  info.is_signed = is_signed_enumeration(die);
  for_each_child(die, [&](Dwarf_Die& child) {
    if (dwarf_tag(&child) != DW_TAG_enumerator) return;
    info.enumerators.push_back({name_of(child), enumerator_value(child)});
    if (info.enumerators.size() > kMostMembers) fail_at(die, "an enumeration of too many values");
  });
}

// How many elements a dimension has; 0 where it is not said, as of a flexible array.
uint64_t count_of(Dwarf_Die& dimension) {
  if (const auto count = number_of(dimension, DW_AT_count)) return *count;
  const auto last = number_of(dimension, DW_AT_upper_bound);
  return last ? *last + 1 : 0;  // -1 for an array of none
}

std::vector<uint64_t> dimensions_of(Dwarf_Die& array) {
  std::vector<uint64_t> all;
  for_each_child(array, [&](Dwarf_Die& child) {
    if (dwarf_tag(&child) != DW_TAG_subrange_type) return;
    all.push_back(count_of(child));
    if (all.size() > kMostDimensions) fail_at(array, "an array of too many dimensions");
  });
  if (all.empty()) all.push_back(0);
  return all;
}

// In bytes from the start of the whole: a number, or in old files an expression that adds one.
uint64_t member_offset(Dwarf_Die& member) {
  Dwarf_Attribute location{};
  if (dwarf_attr(&member, DW_AT_data_member_location, &location) == nullptr) return 0;
  if (const auto offset = to_number(location)) return *offset;
  Dwarf_Op* expression = nullptr;
  size_t length = 0;
  if (dwarf_getlocation(&location, &expression, &length) == 0 && length == 1 &&
      (expression[0].atom == DW_OP_plus_uconst || expression[0].atom == DW_OP_constu))
    return expression[0].number;
  fail_at(member, "the place of a member cannot be worked out");
}

// The size of the integer that a bit-field is of.
uint64_t storage_size(Dwarf_Die member) {
  for (unsigned step = 0; step < kMostSteps; ++step) {
    if (const auto size = number_of(member, DW_AT_byte_size)) return *size;
    const auto target = target_of(member, DW_AT_type);
    if (!target) break;
    member = *target;
  }
  fail_at(member, "the size of a bit-field's integer is not said");
}

}  // namespace

size_t DwarfTypes::HashPlace::operator()(const Place& place) const {
  return std::hash<uint64_t>()(place.die.offset << 1 | (place.die.in_types ? 1 : 0)) + place.dimension;
}

DwarfTypes::DwarfTypes(std::string path, const DwarfHandle& handle, std::mutex& mutex)
    : TypeTable(handle.word_size()), path_(std::move(path)), handle_(handle), mutex_(mutex) {}

const DwarfIndex& DwarfTypes::index() const {
  return index_.get([this] { return DwarfIndex(path_, default_threads()); });
}

// --- by name ---

std::vector<Type> DwarfTypes::find(std::string_view name, Kind kind) const {
  std::vector<Type> found;
  const auto wanted = entry_kind(kind);
  if (!wanted) return found;
  for (const IndexEntry& entry : index().find(name))
    if (entry.kind == *wanted)
      if (const Type type = of_entry(entry); type.kind() == kind) found.push_back(type);
  put_complete_first(found);
  return found;
}

std::vector<Type> DwarfTypes::functions(std::string_view name) const {
  std::vector<Type> found;
  for (const IndexEntry& entry : index().find(name))
    if (entry.kind == EntryKind::function) found.push_back(of_entry(entry));
  return found;
}

std::optional<uint64_t> DwarfTypes::enumerator(std::string_view name) const {
  for (const IndexEntry& entry : index().find(name))
    if (entry.kind == EntryKind::enumerator) return entry.value;
  return std::nullopt;
}

std::optional<Type> DwarfTypes::variable(std::string_view name, VirtAddr address) const {
  for (const IndexEntry& entry : index().find(name)) {
    if (entry.kind != EntryKind::variable || entry.value != address.value) continue;
    const std::lock_guard lock(mutex_);
    Dwarf_Die die = handle_.at(entry.die);
    return target(die);
  }
  return std::nullopt;
}

// The compiler's copies of a function ("schedule.isra.0") have its name, and addresses of their own.
std::optional<Type> DwarfTypes::function(std::string_view name, VirtAddr address) const {
  std::vector<Type> others;
  for (const IndexEntry& entry : index().find(name.substr(0, name.find('.')))) {
    if (entry.kind != EntryKind::function) continue;
    if (entry.value == address.value) return of_entry(entry);
    others.push_back(of_entry(entry));
  }
  return others.size() == 1 ? std::optional(others.front()) : std::nullopt;
}

// --- numbers ---

Type DwarfTypes::numbered(const Place& place) const {
  const std::lock_guard lock(numbers_mutex_);
  const auto [at, is_new] = numbers_.try_emplace(place, static_cast<uint32_t>(places_.size()));
  if (is_new) places_.push_back(place);
  return {this, at->second};
}

// The definition of what is only declared here: in a unit of its own, or the only one of its name.
std::optional<DieRef> DwarfTypes::completed(Dwarf_Die& declaration) const {
  if (auto own = target_of(declaration, DW_AT_signature)) return handle_.where(*own);
  const auto kind = entry_kind(kind_of(dwarf_tag(&declaration)));
  std::optional<DieRef> found;
  for (const IndexEntry& entry : index().find(name_of(declaration))) {
    if (entry.kind != kind) continue;
    if (found) return std::nullopt;
    found = entry.die;
  }
  return found;
}

Type DwarfTypes::type_at(Dwarf_Die& die) const {
  const int tag = dwarf_tag(&die);
  if (tag == DW_TAG_unspecified_type) return {};
  const Kind kind = kind_of(tag);
  if (kind == Kind::nothing) fail_at(die, fmt::format("an entry with tag {:#x} is no type", tag));
  if (is_tagged(kind) && is_declaration(die))
    if (const auto whole = completed(die)) return numbered({*whole, 0});
  return numbered({handle_.where(die), 0});
}

Type DwarfTypes::target(Dwarf_Die& die) const {
  auto found = target_of(die, DW_AT_type);
  return found ? type_at(*found) : Type();
}

// --- what a type is ---

TypeInfo DwarfTypes::describe(uint32_t id) const {
  Place place;
  {
    const std::lock_guard lock(numbers_mutex_);
    if (id >= places_.size()) throw FormatError(fmt::format("there is no type {}", id), id);
    place = places_[id];
  }
  const std::lock_guard lock(mutex_);
  Dwarf_Die die = handle_.at(place.die);
  const int tag = dwarf_tag(&die);
  TypeInfo info;
  info.kind = kind_of(tag);
  if (info.kind != Kind::function) info.name = name_of(die);
  switch (info.kind) {
    case Kind::integer:
      describe_base(die, info);
      break;
    case Kind::pointer:
      info.size = word_size();
      info.target = target(die);
      break;
    case Kind::array:
      describe_array(die, place, info);
      break;
    case Kind::structure:
    case Kind::union_type:
    case Kind::enumeration:
      if (is_declaration(die) && info.kind != Kind::enumeration) {
        info.is_union = info.kind == Kind::union_type;
        info.kind = Kind::forward;
        break;
      }
      info.size = size_of(die);
      if (info.kind == Kind::enumeration)
        describe_enumeration(die, info);
      else
        describe_compound(die, info);
      break;
    case Kind::function:
      describe_function(die, info);
      break;
    case Kind::qualified:
      info.name = qualifier(tag);
      info.target = target(die);
      break;
    case Kind::type_definition:
      info.target = target(die);
      break;
    default:
      fail_at(die, fmt::format("an entry with tag {:#x} is no type", tag));
  }
  return info;
}

void DwarfTypes::describe_array(Dwarf_Die& die, const Place& place, TypeInfo& info) const {
  const auto counts = dimensions_of(die);
  if (place.dimension >= counts.size()) fail_at(die, "an array has lost a dimension");
  info.name = {};
  info.count = counts[place.dimension];
  info.target =
      place.dimension + 1 < counts.size() ? numbered({place.die, place.dimension + 1}) : target(die);
}

// C's three dots have neither type nor name.
void DwarfTypes::describe_function(Dwarf_Die& die, TypeInfo& info) const {
  info.target = target(die);
  for_each_child(die, [&](Dwarf_Die& child) {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_formal_parameter)
      info.members.push_back({name_of(child), target(child), 0, 0});
    else if (tag == DW_TAG_unspecified_parameters)
      info.members.push_back({});
    if (info.members.size() > kMostMembers) fail_at(die, "a function of too many parameters");
  });
}

void DwarfTypes::describe_compound(Dwarf_Die& die, TypeInfo& info) const {
  for_each_child(die, [&](Dwarf_Die& child) {
    if (dwarf_tag(&child) != DW_TAG_member) return;
    Member member{name_of(child), target(child), 0, 0};
    const auto bits = number_of(child, DW_AT_bit_size);
    const uint64_t offset =
        bits && dwarf_hasattr(&child, DW_AT_data_bit_offset) != 0 ? 0 : member_offset(child);
    if (offset > kMostSize) fail_at(child, "a member is behind all memory");
    member.bit_offset = offset * kBits;
    if (bits) place_bit_field(child, *bits, member);
    info.members.push_back(member);
    if (info.members.size() > kMostMembers) fail_at(die, "a type of too many members");
  });
}

// Bits are counted from the lowest of a little-endian machine's first byte, from the highest of a big-endian
// one's: so does DW_AT_data_bit_offset (DWARF 4). Before, the bits of the integer that are above the field
// were counted.
void DwarfTypes::place_bit_field(Dwarf_Die& die, uint64_t size, Member& member) const {
  if (size == 0 || size > 128) fail_at(die, "a bit-field of an impossible size");
  member.bit_size = static_cast<uint32_t>(size);
  if (const auto offset = number_of(die, DW_AT_data_bit_offset)) {
    if (*offset > kMostSize) fail_at(die, "a member is behind all memory");
    member.bit_offset = *offset;
    return;
  }
  const auto above = number_of(die, DW_AT_bit_offset);
  if (!above) return;
  if (handle_.byte_order() == ByteOrder::big) {
    member.bit_offset += *above;
    return;
  }
  const uint64_t bits = storage_size(die) * kBits;
  if (*above > bits || size > bits - *above) fail_at(die, "a bit-field is outside of its integer");
  member.bit_offset += bits - *above - size;
}

}  // namespace kvista::debuginfo
