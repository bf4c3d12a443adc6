// Types and declarations as C writes them: text in, tree out. What the names mean is for others to say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "syntax/lexer.h"

namespace kvista::syntax {

enum class Tag : uint8_t { none, structure, union_type, enumeration };

/// const, volatile and restrict, as bits.
enum Qualifier : uint8_t { kConst = 1, kVolatile = 2, kRestrict = 4 };

/// What a declarator makes of the type before it.
enum class DerivationKind : uint8_t { pointer, array, function };
struct Derivation {
  DerivationKind kind = DerivationKind::pointer;
  uint64_t count = 0;      ///< of an array; 0: not said
  std::string count_name;  ///< the enumerator that gives it, if not empty
  uint8_t qualifiers = 0;  ///< of a pointer: a set of Qualifier
};

struct Declaration;

/// "unsigned long *", "struct list_head", "struct { u32 seq; struct timekeeper timekeeper; }".
struct TypeName {
  Tag tag = Tag::none;
  std::string name;  ///< for integers always in one form: "unsigned long", "long long", "signed char"
  std::vector<Declaration> members;     ///< where it is defined on the spot; its name is empty then
  std::vector<Derivation> derivations;  ///< from the named type outwards
  uint8_t qualifiers = 0;               ///< of the named type: a set of Qualifier
};

struct Declaration {
  TypeName type;
  std::string name;
};

/// Whether a type can begin with this token: a keyword, or what `is_type` knows.
using IsTypeName = bool (*)(std::string_view name, const void* context);
struct TypeNames {
  IsTypeName is_type = nullptr;
  const void* context = nullptr;
  bool operator()(std::string_view name) const { return is_type != nullptr && is_type(name, context); }
};

/// Whether `token` begins a type by itself: struct, unsigned, const ...
bool is_type_keyword(std::string_view word);
/// Reads a type without a name, as in a cast: "struct task_struct *". Throws SyntaxError.
TypeName parse_type_name(Lexer& lexer);
/// Reads a type with a name: "struct list_head modules". Throws SyntaxError.
Declaration parse_declaration(Lexer& lexer);

}  // namespace kvista::syntax
