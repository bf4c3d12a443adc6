// Types by BTF.
#pragma once

#include "decode/btf.h"
#include "type/type_table.h"

namespace kvista::type {

/// A kernel's or a module's BTF as a table of types.
class BtfTypes final : public TypeTable {
 public:
  /// `base` is that of a module's split BTF, and must live longer.
  BtfTypes(std::vector<std::byte> bytes, ByteOrder order, unsigned word_size, const BtfTypes* base = nullptr);

  const decode::Btf& btf() const { return btf_; }
  std::vector<Type> find(std::string_view name, Kind kind) const override;
  /// The type of a variable (per-CPU ones have their types in BTF since 5.11), or nothing.
  std::optional<Type> variable(std::string_view name) const;
  /// The prototype of a function, or nothing. BTF does not tell those of one name apart.
  std::optional<Type> function(std::string_view name) const;
  std::vector<Type> functions(std::string_view name) const override;
  std::optional<uint64_t> enumerator(std::string_view name) const override;
  std::string damage() const override { return btf_.damage(); }

 private:
  TypeInfo describe(uint32_t id) const override;
  Type type_of(decode::BtfId id) const;
  std::optional<Type> target_of(std::string_view name, decode::BtfKind kind) const;
  void describe_compound(const decode::BtfType& type, TypeInfo& info) const;

  const BtfTypes* base_;
  decode::Btf btf_;
  mutable std::once_flag enumerators_once_;
  mutable std::unordered_map<std::string_view, uint64_t> enumerators_;
};

}  // namespace kvista::type
