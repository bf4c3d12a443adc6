// The types of the kernel's global variables. Its BTF has only those of per-CPU ones, so that the project
// ships the others' declarations: globals.decl.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "syntax/declaration.h"

namespace kvista::kernel {

/// What must be so for a declaration to be this kernel's.
struct Requirement {
  bool is_symbol = false;  ///< a symbol must exist; else a struct, or its member
  bool is_absent = false;  ///< it must not
  std::string name;
  std::string member;  ///< may be empty
};

struct GlobalDeclaration {
  syntax::Declaration declaration;
  bool is_per_cpu = false;
  std::vector<Requirement> requirements;
};

/// The declarations of one name, in the order in which they are to be tried.
std::span<const GlobalDeclaration> declarations_of(std::string_view name);
/// All of them, sorted by name.
std::span<const GlobalDeclaration> all_declarations();
/// Reads declarations; throws SyntaxError.
std::vector<GlobalDeclaration> parse_declarations(std::string_view text);

/// The text of globals.decl.
extern const std::string_view kGlobalsText;

}  // namespace kvista::kernel
