// Expressions as C writes them: text in, tree out. What the names mean is for others to say.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "syntax/declaration.h"

namespace kvista::syntax {

enum class Op : uint8_t {
  number,
  name,
  per_cpu,  ///< name:cpu, of a variable that each CPU has
  member,   ///< a.b or a->b: which of the two stands there makes no difference
  index,
  call,  ///< of the few functions that there are: container_of, per_cpu, offsetof
  plus,  ///< one operand
  minus,
  logical_not,
  complement,
  dereference,
  address_of,
  cast,
  size_of,       ///< a value's
  size_of_type,  ///< a type's
  multiply,      ///< two operands
  divide,
  remainder,
  add,
  subtract,
  shift_left,
  shift_right,
  less,
  greater,
  less_equal,
  greater_equal,
  equal,
  unequal,
  bit_and,
  bit_xor,
  bit_or,
  logical_and,
  logical_or,
  conditional,  ///< three operands
};

struct Node {
  Op op = Op::number;
  size_t at = 0;        ///< where it begins in the text ...
  size_t end = 0;       ///< ... and ends
  std::string name;     ///< of a name, member or function; "all" or empty of per_cpu
  uint64_t number = 0;  ///< of a number, a CPU
  bool is_unsigned = false;
  bool is_long = false;
  TypeName type;  ///< of a cast, of sizeof
  std::vector<std::unique_ptr<Node>> operands;
  std::vector<std::string> path;  ///< of container_of and offsetof: the members behind the type
};

/// Reads an expression, all of `text`. Throws SyntaxError, also for one that is absurdly long or deep.
std::unique_ptr<Node> parse_expression(std::string_view text, const TypeNames& types);
/// Reads a type, all of `text`. Throws SyntaxError.
TypeName parse_type(std::string_view text);

}  // namespace kvista::syntax
