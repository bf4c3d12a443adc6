// Types of a test's kernel, from C declarations: laid out as C does, written as BTF, and looked up by those
// who fill memory with objects.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "images/btf_builder.h"

namespace kvista::test {

class TypeBook {
 public:
  /// Reads "struct NAME { TYPE MEMBER; TYPE *MEMBER; TYPE MEMBER[COUNT]; };", the same of a union,
  /// "typedef TYPE NAME;" and "enum NAME { A, B = 3 };", each after what it holds. Pointers lead anywhere.
  /// Throws DescriptionError.
  explicit TypeBook(std::string_view declarations);

  uint64_t size(std::string_view type) const;
  /// Where a member is: "tasks.next", "mem[1].base".
  uint64_t offset(std::string_view type, std::string_view path) const { return find(type, path).first; }
  /// The size of a member.
  uint64_t size(std::string_view type, std::string_view path) const { return find(type, path).second; }
  /// The types as BTF, to which more can be added.
  BtfBuilder btf() const;

 private:
  struct Use {  // of a type, by its name: "struct list_head *[2]"
    std::string base;
    unsigned pointers = 0;
    std::optional<uint64_t> count;
  };
  struct Member {
    std::string name;
    Use type;
    uint64_t offset = 0;
  };
  struct Type {
    enum class Kind { basic, compound, union_type, enumeration, definition, forward };
    Kind kind = Kind::basic;
    std::string name;  // without its tag
    uint64_t size = 0;
    uint64_t alignment = 1;
    bool is_signed = false;
    std::vector<Member> members;
    std::vector<std::pair<std::string, int64_t>> values;
    Use target;  // of a typedef
  };
  friend class BookReader;
  friend class BookWriter;

  void add(std::string full_name, Type type);
  const Type& of(std::string_view full_name) const;
  const Type& resolve(std::string_view full_name) const;
  uint64_t size_of(const Use& use) const;
  uint64_t alignment_of(const Use& use) const;
  std::pair<uint64_t, uint64_t> find(std::string_view type, std::string_view path) const;

  std::vector<Type> types_;  // in BTF's order, from 1 on
  std::map<std::string, size_t, std::less<>> by_name_;
};

}  // namespace kvista::test
