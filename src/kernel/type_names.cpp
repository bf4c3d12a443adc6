#include "kernel/type_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace kvista::kernel {
namespace {

using type::Kind;
using type::Type;

constexpr unsigned kMostDepth = 32;
constexpr uint64_t kMostSize = uint64_t{1} << 40;

struct BasicType {
  std::string_view name;
  Kind kind;
  uint8_t size;  // 0: a word
  bool is_signed;
};
// C's own, and the kernel's short names, which are needed where a kernel has no table of types.
constexpr std::array kBasic = {
    BasicType{"char", Kind::character, 1, true},
    BasicType{"signed char", Kind::character, 1, true},
    BasicType{"unsigned char", Kind::character, 1, false},
    BasicType{"bool", Kind::boolean, 1, false},
    BasicType{"short", Kind::integer, 2, true},
    BasicType{"unsigned short", Kind::integer, 2, false},
    BasicType{"int", Kind::integer, 4, true},
    BasicType{"unsigned int", Kind::integer, 4, false},
    BasicType{"long", Kind::integer, 0, true},
    BasicType{"unsigned long", Kind::integer, 0, false},
    BasicType{"long long", Kind::integer, 8, true},
    BasicType{"unsigned long long", Kind::integer, 8, false},
};
constexpr std::array kShort = {
    BasicType{"s8", Kind::integer, 1, true},         BasicType{"u8", Kind::integer, 1, false},
    BasicType{"s16", Kind::integer, 2, true},        BasicType{"u16", Kind::integer, 2, false},
    BasicType{"s32", Kind::integer, 4, true},        BasicType{"u32", Kind::integer, 4, false},
    BasicType{"s64", Kind::integer, 8, true},        BasicType{"u64", Kind::integer, 8, false},
    BasicType{"int8_t", Kind::integer, 1, true},     BasicType{"uint8_t", Kind::integer, 1, false},
    BasicType{"int16_t", Kind::integer, 2, true},    BasicType{"uint16_t", Kind::integer, 2, false},
    BasicType{"int32_t", Kind::integer, 4, true},    BasicType{"uint32_t", Kind::integer, 4, false},
    BasicType{"int64_t", Kind::integer, 8, true},    BasicType{"uint64_t", Kind::integer, 8, false},
    BasicType{"size_t", Kind::integer, 0, false},    BasicType{"ssize_t", Kind::integer, 0, true},
    BasicType{"uintptr_t", Kind::integer, 0, false},
};

template <size_t N>
const BasicType* find_in(const std::array<BasicType, N>& all, std::string_view name) {
  const auto* found =
      std::find_if(all.begin(), all.end(), [&](const BasicType& one) { return one.name == name; });
  return found == all.end() ? nullptr : found;
}

const char* keyword(syntax::Tag tag) {
  switch (tag) {
    case syntax::Tag::structure:
      return "struct ";
    case syntax::Tag::union_type:
      return "union ";
    case syntax::Tag::enumeration:
      return "enum ";
    default:
      return "";
  }
}

Kind kind_of(syntax::Tag tag) {
  switch (tag) {
    case syntax::Tag::structure:
      return Kind::structure;
    case syntax::Tag::union_type:
      return Kind::union_type;
    case syntax::Tag::enumeration:
      return Kind::enumeration;
    default:
      return Kind::type_definition;
  }
}

}  // namespace

TypeNames::TypeNames(TypeTables tables, unsigned word_size)
    : tables_(std::move(tables)), word_size_(word_size), derived_(word_size) {
  if (tables_.debuginfo != nullptr) own_.push_back(tables_.debuginfo);
  if (tables_.kernel) own_.push_back(tables_.kernel.get());
}

bool TypeNames::is_damaged() const {
  return std::any_of(own_.begin(), own_.end(),
                     [](const type::TypeTable* table) { return !table->damage().empty(); });
}

const type::AllModuleTypes& TypeNames::modules() const {
  return modules_.get([this]() -> type::AllModuleTypes {
    if (!tables_.kernel || !tables_.read_modules) return {};
    return tables_.read_modules(*tables_.kernel);
  });
}

std::vector<FoundType> TypeNames::find(std::string_view name, Kind kind) const {
  std::vector<FoundType> found;
  for (const type::TypeTable* table : own_) {
    for (const Type& one : table->find(name, kind)) found.push_back({one, {}});
    if (!found.empty()) return found;
  }
  for (const type::ModuleTypes& module : modules().modules)
    for (const Type& one : module.types->find(name, kind)) found.push_back({one, module.module});
  return found;
}

std::optional<Type> TypeNames::kernel_type(std::string_view name, Kind kind) const {
  for (const type::TypeTable* table : own_)
    if (const auto found = table->find(name, kind); !found.empty()) return found.front();
  return std::nullopt;
}

void TypeNames::fail_missing(std::string_view what, std::string_view name) const {
  if (own_.empty()) throw NotFound(fmt::format("{}{} is not known: {}", what, name, tables_.why_not));
  const size_t count = modules().modules.size();
  throw NotFound(fmt::format("the types (BTF) of the kernel and of {} module{} have no {}{}{}", count,
                             count == 1 ? "" : "s", what, name,
                             modules().fault.empty() ? "" : "; " + modules().fault));
}

std::optional<Type> TypeNames::find_basic(std::string_view name) const {
  if (name == "void") return Type();
  if (const BasicType* found = find_in(kBasic, name))
    return derived_.basic(found->kind, found->name, found->size == 0 ? word_size_ : found->size,
                          found->is_signed);
  return std::nullopt;
}

Type TypeNames::basic(std::string_view name) const {
  if (const auto found = find_basic(name)) return *found;
  throw NotFound(fmt::format("{} is no basic type", name));
}

Type TypeNames::resolve_base(const syntax::TypeName& name, Of of) const {
  if (name.tag == syntax::Tag::none)
    if (const auto found = find_basic(name.name)) return *found;
  if (const auto found = kernel_type(name.name, kind_of(name.tag))) return *found;
  if (name.tag == syntax::Tag::none)
    if (const BasicType* found = find_in(kShort, name.name))
      return derived_.basic(found->kind, found->name, found->size == 0 ? word_size_ : found->size,
                            found->is_signed);
  if (of == Of::kernel) throw NotFound(fmt::format("the kernel has no {}{}", keyword(name.tag), name.name));
  const auto of_modules = find(name.name, kind_of(name.tag));
  if (!of_modules.empty()) return of_modules.front().type;
  fail_missing(keyword(name.tag), name.name);
}

// The last that is added is written first.
Type TypeNames::with_qualifiers(Type type, uint8_t qualifiers) const {
  if ((qualifiers & syntax::kRestrict) != 0) type = derived_.qualified(type, "restrict");
  if ((qualifiers & syntax::kVolatile) != 0) type = derived_.qualified(type, "volatile");
  if ((qualifiers & syntax::kConst) != 0) type = derived_.qualified(type, "const");
  return type;
}

Type TypeNames::resolve(const syntax::TypeName& name, Of of, unsigned depth) const {
  if (depth > kMostDepth) throw UsageError(fmt::format("{}: a type that is too deep", name.name));
  Type type;
  if (name.members.empty()) {
    type = resolve_base(name, of);
  } else {
    std::vector<type::NamedType> members;
    for (const syntax::Declaration& member : name.members)
      members.push_back({member.name, resolve(member.type, of, depth + 1)});
    type = derived_.compound(kind_of(name.tag), members);
  }
  type = with_qualifiers(type, name.qualifiers);
  for (const syntax::Derivation& one : name.derivations) {
    switch (one.kind) {
      case syntax::DerivationKind::pointer:
        type = with_qualifiers(derived_.pointer_to(type), one.qualifiers);
        break;
      case syntax::DerivationKind::function:
        type = derived_.function_of(type);
        break;
      case syntax::DerivationKind::array: {
        uint64_t count = one.count;
        if (!one.count_name.empty()) {
          const auto value = enumerator(one.count_name);
          if (!value) throw NotFound(fmt::format("the kernel's types have no enumerator {}", one.count_name));
          count = *value;
        }
        if (count > kMostSize) throw UsageError(fmt::format("an array of {} elements is too large", count));
        type = derived_.array_of(type, count);
        break;
      }
    }
  }
  return type;
}

Type TypeNames::resolve(const syntax::TypeName& name, Of of) const {
  return resolve(name, of, 0);
}

Type TypeNames::resolve(std::string_view text) const {
  return resolve(syntax::parse_type(text));
}

Type TypeNames::by_word(std::string_view word) const {
  for (const Kind kind : {Kind::structure, Kind::union_type, Kind::type_definition, Kind::enumeration})
    if (const auto found = kernel_type(word, kind)) return *found;
  if (const auto found = find_basic(word)) return *found;
  for (const Kind kind : {Kind::structure, Kind::union_type, Kind::type_definition, Kind::enumeration})
    if (const auto found = find(word, kind); !found.empty()) return found.front().type;
  fail_missing("", word);
}

bool TypeNames::is_type(std::string_view name) const {
  return find_basic(name) || find_in(kShort, name) != nullptr || kernel_type(name, Kind::type_definition);
}

syntax::TypeNames TypeNames::for_parser() const {
  return {[](std::string_view name, const void* context) {
            return static_cast<const TypeNames*>(context)->is_type(name);
          },
          this};
}

std::optional<uint64_t> TypeNames::enumerator(std::string_view name) const {
  for (const type::TypeTable* table : own_)
    if (const auto value = table->enumerator(name)) return value;
  return std::nullopt;
}

}  // namespace kvista::kernel
