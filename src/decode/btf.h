// BTF: the types that a kernel and its modules carry (Documentation/bpf/btf.rst, include/uapi/linux/btf.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/endian.h"

namespace kvista::decode {

/// BTF_KIND_*.
enum class BtfKind : uint8_t {
  none = 0,
  integer = 1,
  pointer = 2,
  array = 3,
  structure = 4,
  union_type = 5,
  enumeration = 6,
  forward = 7,
  type_definition = 8,
  volatile_type = 9,
  const_type = 10,
  restrict_type = 11,
  function = 12,
  prototype = 13,
  variable = 14,
  section = 15,
  floating = 16,
  declaration_tag = 17,
  type_tag = 18,
  enumeration64 = 19,
};
/// "STRUCT", as bpftool names it; empty for a kind that is not known.
std::string_view name_of(BtfKind kind);

/// The number of a type; 0 is void. Those of split BTF go on where its base ends.
using BtfId = uint32_t;

/// What each type begins with (struct btf_type).
struct BtfType {
  BtfKind kind = BtfKind::none;
  bool flag = false;  ///< kind_flag: members have bit-field sizes; enumerators are signed; forward of a union
  uint16_t entries = 0;  ///< vlen
  uint32_t size_or_type = 0;
  std::string_view name;
  std::span<const std::byte> data;  ///< what follows it
};

/// An entry of a struct, a union or a prototype.
struct BtfMember {
  std::string_view name;
  BtfId type = 0;
  uint32_t bit_offset = 0;
  uint32_t bit_size = 0;  ///< of a bit-field, else 0
};
struct BtfEnumerator {
  std::string_view name;
  uint64_t value = 0;  ///< sign-extended where they are signed
};
struct BtfArray {
  BtfId element = 0;
  BtfId index = 0;
  uint32_t count = 0;
};
/// An integer's encoding.
struct BtfInteger {
  bool is_signed = false;
  bool is_character = false;
  bool is_boolean = false;
  uint8_t bit_offset = 0;
  uint8_t bits = 0;
};
/// An entry of a section: a variable and where in the section it is.
struct BtfVariable {
  BtfId variable = 0;
  uint32_t offset = 0;
  uint32_t size = 0;
};

/// A table of types, whole in memory. Constant, and safe to use from several threads.
class Btf {
 public:
  /// Checks the header and finds where each type begins. `base` is that of split BTF, and must live longer.
  /// Throws FormatError for a header that makes no sense; types that end early are no error (`damage`).
  Btf(std::vector<std::byte> bytes, ByteOrder order, const Btf* base = nullptr);

  const Btf* base() const { return base_; }
  /// The numbers of its own types: from first_id() up to end_id(), which is none.
  BtfId first_id() const { return first_id_; }
  BtfId end_id() const { return first_id_ + static_cast<BtfId>(starts_.size()); }
  /// Why the types end before the header says, in one sentence; empty where they do not.
  const std::string& damage() const { return damage_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  /// The type of this number, the base's included. Throws FormatError where there is none.
  BtfType type(BtfId id) const;
  /// The numbers of its own types with this name, in order, whatever they are.
  std::vector<BtfId> find(std::string_view name) const;

  // What follows a type of the kind that the name says.
  std::vector<BtfMember> members(const BtfType& type) const;  ///< also a prototype's parameters
  std::vector<BtfEnumerator> enumerators(const BtfType& type) const;
  BtfArray array(const BtfType& type) const;
  BtfInteger integer(const BtfType& type) const;
  std::vector<BtfVariable> variables(const BtfType& type) const;
  /// The linkage of a variable, or the component of a declaration tag.
  uint32_t word(const BtfType& type) const;

 private:
  void find_types();
  void index_names() const;
  std::string_view string(uint32_t offset) const;
  uint32_t u32(std::span<const std::byte> data, size_t word) const;

  std::vector<std::byte> bytes_;
  ByteOrder order_;
  const Btf* base_;
  std::span<const std::byte> types_;
  std::span<const std::byte> strings_;
  uint32_t first_string_ = 0;
  BtfId first_id_ = 1;
  std::vector<uint32_t> starts_;  ///< of each type, in types_
  std::string damage_;
  mutable std::once_flag indexed_;
  mutable std::vector<BtfId> index_;  ///< open addressing by a hash of the name; 0 is free
};

/// The size of the whole table that these bytes begin with, by its header; 0 where it is no header of BTF.
uint64_t btf_size(std::span<const std::byte> header, ByteOrder order);
/// How many bytes `btf_size` looks at.
constexpr size_t kBtfHeader = 24;

}  // namespace kvista::decode
