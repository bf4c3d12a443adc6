#include "kvista/type.h"

#include <fmt/format.h>

#include "base/error.h"
#include "type/type_source.h"

namespace kvista::type {
namespace {

constexpr unsigned kMostSteps = 64;       // of typedefs, qualifiers, arrays of arrays
constexpr unsigned kMostNesting = 32;     // of members without a name
constexpr unsigned kMostDeclared = 4096;  // types in one declaration: prototypes hold prototypes
constexpr size_t kMostMembers = 100'000;  // of one type, with those of members without a name

[[noreturn]] void fail_cyclic(Type type) {
  const std::string name = type.name().empty() ? "" : fmt::format(" ({})", type.name());
  throw FormatError(fmt::format("type {}{} leads to itself", type.id(), name), type.id());
}

using MembersByName = std::unordered_map<std::string_view, FoundMember>;

void collect_members(Type type, uint64_t bit_offset, unsigned depth, size_t& seen, MembersByName& into) {
  const std::vector<Member>& members = type.members();
  seen += members.size() + 1;
  if (depth > kMostNesting || seen > kMostMembers) fail_cyclic(type);
  for (const Member& member : members)
    if (!member.name.empty())
      into.try_emplace(member.name,
                       FoundMember{member.type, bit_offset + member.bit_offset, member.bit_size});
  for (const Member& member : members)
    if (member.name.empty() && member.type.is_compound())
      collect_members(member.type.resolved(), bit_offset + member.bit_offset, depth + 1, seen, into);
}

std::string_view keyword(const TypeInfo& info) {
  switch (info.kind) {
    case Kind::structure:
      return "struct";
    case Kind::union_type:
      return "union";
    case Kind::enumeration:
      return "enum";
    case Kind::forward:
      return info.is_union ? "union" : "struct";
    default:
      return {};
  }
}

std::string base_text(const TypeInfo& info) {
  if (info.kind == Kind::nothing) return "void";
  const std::string_view word = keyword(info);
  if (word.empty()) return std::string(info.name);
  return info.name.empty() ? fmt::format("{} {{...}}", word) : fmt::format("{} {}", word, info.name);
}

// C is written from the name outwards.
class Declaration {
 public:
  std::string declare(Type type, std::string inner, unsigned depth = 0) {
    if (depth > kMostSteps || ++types_ > kMostDeclared) fail_cyclic(type);
    const TypeInfo& info = type.info();
    switch (info.kind) {
      case Kind::pointer: {
        const Kind target = info.target.kind();
        std::string pointed = "*" + inner;
        if (target == Kind::array || target == Kind::function) pointed = "(" + pointed + ")";
        return declare(info.target, std::move(pointed), depth + 1);
      }
      case Kind::array:
        return declare(info.target, fmt::format("{}[{}]", inner, info.count), depth + 1);
      case Kind::function:
        return declare(info.target, fmt::format("{}({})", inner, parameters(info, depth + 1)), depth + 1);
      case Kind::qualified: {
        // A qualifier of a pointer stands right of its star, any other left of the type.
        if (info.target.kind() != Kind::pointer)
          return fmt::format("{} {}", info.name, declare(info.target, std::move(inner), depth + 1));
        const std::string qualified =
            inner.empty() ? std::string(info.name) : fmt::format("{} {}", info.name, inner);
        return declare(info.target, qualified, depth + 1);
      }
      default: {
        const std::string base = base_text(info);
        return inner.empty() ? base : fmt::format("{} {}", base, inner);
      }
    }
  }

 private:
  std::string parameters(const TypeInfo& info, unsigned depth) {
    if (info.members.empty()) return "void";
    std::string text;
    for (const Member& parameter : info.members) {
      if (!text.empty()) text += ", ";
      // C's three dots have neither type nor name.
      const bool is_dots = parameter.name.empty() && parameter.type.kind() == Kind::nothing;
      text += is_dots ? "..." : declare(parameter.type, {}, depth);
    }
    return text;
  }

  unsigned types_ = 0;
};

}  // namespace

const TypeInfo& TypeSource::info(uint32_t id) const {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(id);
    if (known != known_.end()) return known->second->info;
  }
  auto entry = std::make_unique<Entry>();
  entry->info = describe(id);
  const std::lock_guard lock(mutex_);
  return known_.try_emplace(id, std::move(entry)).first->second->info;
}

const MembersByName& TypeSource::members_by_name(uint32_t id) const {
  info(id);
  {
    const std::lock_guard lock(mutex_);
    if (const auto& known = known_.at(id)->by_name) return *known;
  }
  auto members = std::make_unique<MembersByName>();
  size_t seen = 0;
  collect_members(Type(this, id), 0, 0, seen, *members);
  const std::lock_guard lock(mutex_);
  auto& kept = known_.at(id)->by_name;
  if (!kept) kept = std::move(members);
  return *kept;
}

const TypeInfo& Type::info() const {
  static const TypeInfo kVoid;
  return source_ == nullptr ? kVoid : source_->info(id_);
}

Kind Type::kind() const {
  return info().kind;
}

std::string_view Type::name() const {
  return info().name;
}

Type Type::target() const {
  return info().target;
}

Type Type::resolved() const {
  Type type = *this;
  for (unsigned step = 0; step < kMostSteps; ++step) {
    const TypeInfo& info = type.info();
    if (info.kind != Kind::type_definition && info.kind != Kind::qualified) return type;
    type = info.target;
  }
  fail_cyclic(*this);
}

uint64_t Type::size() const {
  Type type = resolved();
  uint64_t count = 1;
  for (unsigned step = 0; step < kMostSteps; ++step) {
    const TypeInfo& info = type.info();
    if (info.kind != Kind::array) {
      uint64_t size = 0;
      if (__builtin_mul_overflow(count, info.size, &size))
        throw FormatError(fmt::format("type {} is larger than any memory", id_), id_);
      return size;
    }
    if (__builtin_mul_overflow(count, info.count, &count))
      throw FormatError(fmt::format("type {} is larger than any memory", id_), id_);
    type = info.target.resolved();
  }
  fail_cyclic(*this);
}

bool Type::is_compound() const {
  const Kind kind = resolved().kind();
  return kind == Kind::structure || kind == Kind::union_type;
}

bool Type::is_signed() const {
  return resolved().info().is_signed;
}

uint64_t Type::count() const {
  return resolved().info().count;
}

const std::vector<Member>& Type::members() const {
  return resolved().info().members;
}

const std::vector<Enumerator>& Type::enumerators() const {
  return resolved().info().enumerators;
}

std::optional<FoundMember> Type::find_member(std::string_view name) const {
  const Type type = resolved();
  if (type.source_ == nullptr || !type.is_compound()) return std::nullopt;
  const auto& members = type.source_->members_by_name(type.id_);
  const auto found = members.find(name);
  return found == members.end() ? std::nullopt : std::optional(found->second);
}

std::string Type::declaration(std::string_view name) const {
  return Declaration().declare(*this, std::string(name));
}

}  // namespace kvista::type
