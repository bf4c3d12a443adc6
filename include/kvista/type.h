// The types of a kernel's C source, as its BTF or debuginfo gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvista/error.h"
#include "kvista/export.h"

namespace kvista::type {

enum class Kind : uint8_t {
  nothing,  ///< void
  integer,
  boolean,
  character,
  floating,
  pointer,
  array,
  structure,
  union_type,
  enumeration,
  function,         ///< its prototype
  forward,          ///< a struct or union that is only declared
  type_definition,  ///< typedef
  qualified,        ///< const, volatile or restrict, or tagged: its name says which
};

class TypeSource;
struct Member;
struct Enumerator;
struct TypeInfo;
struct FoundMember;

/// A type: a light handle that is copied, void by default. What it leads to lives as long as the kernel that
/// it came from. All functions throw FormatError where the table of types is damaged at that place.
class KVISTA_API Type {
 public:
  Type() = default;
  Type(const TypeSource* source, uint32_t id) : source_(source), id_(id) {}

  Kind kind() const;
  /// "task_struct", "u64", "const"; empty for what has no name.
  std::string_view name() const;
  /// In bytes, through typedefs and arrays; 0 for void, functions, and what is only declared.
  uint64_t size() const;
  /// What a pointer or typedef leads to, an array's element, a function's result.
  Type target() const;
  /// Without typedefs, qualifiers and tags.
  Type resolved() const;
  /// Of the resolved type.
  bool is(Kind kind) const { return resolved().kind() == kind; }
  bool is_compound() const;  ///< a struct or union with members
  bool is_signed() const;
  uint64_t count() const;                      ///< elements of an array
  const std::vector<Member>& members() const;  ///< of a struct or union; a function's parameters
  const std::vector<Enumerator>& enumerators() const;
  /// The member of that name, also within members that have no name, at its offset from the start of this
  /// type.
  std::optional<FoundMember> find_member(std::string_view name) const;

  /// As C declares it: "struct list_head *", or with a name "char comm[16]".
  std::string declaration(std::string_view name = {}) const;

  const TypeInfo& info() const;
  const TypeSource* source() const { return source_; }
  uint32_t id() const { return id_; }
  friend bool operator==(const Type&, const Type&) = default;

 private:
  const TypeSource* source_ = nullptr;
  uint32_t id_ = 0;
};

/// A member of a struct or union, or a parameter of a function.
struct Member {
  std::string_view name;  ///< empty: its members are this type's
  Type type;
  uint64_t bit_offset = 0;
  uint32_t bit_size = 0;  ///< of a bit-field, else 0
};

/// Where a member is, counted from the start of the type that was asked.
struct FoundMember {
  Type type;
  uint64_t bit_offset = 0;
  uint32_t bit_size = 0;
};

struct Enumerator {
  std::string_view name;
  uint64_t value = 0;  ///< sign-extended where the enumeration is signed
};

/// What a table of types says of one type.
struct TypeInfo {
  Kind kind = Kind::nothing;
  std::string_view name;
  bool is_signed = false;
  bool is_union = false;  ///< of a forward
  uint64_t size = 0;      ///< in bytes; 0 where it follows from `target`
  uint64_t count = 0;     ///< of an array
  Type target;
  std::vector<Member> members;
  std::vector<Enumerator> enumerators;
};

}  // namespace kvista::type
