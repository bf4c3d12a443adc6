// Types that are made from others, because a kernel's own table may not have them.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "type/type_source.h"

namespace kvista::type {

/// A member of a struct or union that is yet to be laid out.
struct NamedType {
  std::string name;
  Type type;
};

/// Pointers, arrays, functions and const forms of other types; integers; structs by their members. What was
/// made stays. Safe to use from several threads.
class DerivedTypes final : public TypeSource {
 public:
  using TypeSource::TypeSource;
  Type pointer_to(Type target);
  Type array_of(Type element, uint64_t count);
  Type function_of(Type result);
  /// `qualifier` is "const", "volatile" or "restrict", and must stay.
  Type qualified(Type target, std::string_view qualifier);
  /// Integers, characters and booleans. `name` must stay.
  Type basic(Kind kind, std::string_view name, uint64_t size, bool is_signed);
  /// A struct or union without a name, its members where a compiler puts them: each aligned as its type is.
  Type compound(Kind kind, const std::vector<NamedType>& members);

 private:
  TypeInfo describe(uint32_t id) const override;
  Type add(TypeInfo wanted);

  mutable std::mutex derived_mutex_;
  std::deque<TypeInfo> derived_;
  std::deque<std::string> names_;
};

/// Where a compiler puts variables of this type: at multiples of so many bytes. The table of types does not
/// say it; attributes of a type's own are not known. Throws FormatError where the type holds itself.
uint64_t alignment_of(Type type);

}  // namespace kvista::type
