// Names of types: from what users and declarations write to the types of the kernel, its modules, and C's
// own.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/lazy.h"
#include "syntax/expression.h"
#include "type/btf_types.h"
#include "type/derived_types.h"
#include "type/module_btf.h"

namespace kvista::kernel {

/// Where the tables of types come from.
struct TypeTables {
  const type::TypeTable* debuginfo = nullptr;  ///< asked first, if any
  std::unique_ptr<type::BtfTypes> kernel;      ///< may be missing
  std::string why_not;                         ///< there is none, in one sentence
  std::function<type::AllModuleTypes(const type::BtfTypes&)> read_modules;
};

/// A type and the module that it is from.
struct FoundType {
  type::Type type;
  std::string module;  ///< empty: the kernel's own
};

/// Safe to use from several threads.
class TypeNames {
 public:
  TypeNames(TypeTables tables, unsigned word_size);

  /// The kernel's own tables, in the order in which they are asked: debuginfo, if the user gave it, and BTF.
  const std::vector<const type::TypeTable*>& own() const { return own_; }
  /// The kernel's BTF, or null where there is none.
  const type::BtfTypes* btf() const { return tables_.kernel.get(); }
  const std::string& why_none() const { return tables_.why_not; }
  /// Whether some of the kernel's own types are missing because their tables are damaged.
  bool is_damaged() const;
  const type::AllModuleTypes& modules() const;
  type::DerivedTypes& derived() const { return derived_; }

  /// Types of that name and kind: the kernel's, and where it has none, those of modules.
  std::vector<FoundType> find(std::string_view name, type::Kind kind) const;
  /// The same of the kernel alone. Nothing where there is none with members.
  std::optional<type::Type> kernel_type(std::string_view name, type::Kind kind) const;
  /// Whose types count: to look through all modules takes its time.
  enum class Of : uint8_t { kernel, all };
  /// What a type's name means. Throws NotFound where a name has no meaning here.
  type::Type resolve(const syntax::TypeName& name, Of of = Of::all) const;
  type::Type resolve(std::string_view text) const;
  /// A type by one word: a struct, union, typedef or basic type, as commands take them.
  type::Type by_word(std::string_view word) const;
  /// Throws NotFound: there is no type `name`; `what` is "struct " or the like.
  [[noreturn]] void fail_missing(std::string_view what, std::string_view name) const;
  /// Whether a word is a type by itself: "u64".
  bool is_type(std::string_view name) const;
  syntax::TypeNames for_parser() const;
  /// C's own: "int", "unsigned long" ...; throws NotFound for other names.
  type::Type basic(std::string_view name) const;
  /// The value of an enumerator, with its enumeration's type unknown.
  std::optional<uint64_t> enumerator(std::string_view name) const;

 private:
  std::optional<type::Type> find_basic(std::string_view name) const;
  type::Type resolve_base(const syntax::TypeName& name, Of of) const;
  type::Type resolve(const syntax::TypeName& name, Of of, unsigned depth) const;
  type::Type with_qualifiers(type::Type type, uint8_t qualifiers) const;

  TypeTables tables_;
  std::vector<const type::TypeTable*> own_;
  unsigned word_size_;
  mutable type::DerivedTypes derived_;
  Lazy<type::AllModuleTypes> modules_;
};

}  // namespace kvista::kernel
