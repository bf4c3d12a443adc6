// Where types come from: a table in which each has a number.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

#include "kvista/type.h"

namespace kvista::type {

/// A table of types. What was asked for once is kept; safe to use from several threads.
class TypeSource {
 public:
  explicit TypeSource(unsigned word_size) : word_size_(word_size) {}
  TypeSource(const TypeSource&) = delete;
  TypeSource& operator=(const TypeSource&) = delete;
  virtual ~TypeSource() = default;

  /// The size of a pointer, in bytes.
  unsigned word_size() const { return word_size_; }
  /// Throws FormatError where there is no such type, or it is damaged.
  const TypeInfo& info(uint32_t id) const;
  /// The members of a compound type by name, those of members without a name included.
  const std::unordered_map<std::string_view, FoundMember>& members_by_name(uint32_t id) const;

 private:
  virtual TypeInfo describe(uint32_t id) const = 0;

  struct Entry {
    TypeInfo info;
    std::unique_ptr<std::unordered_map<std::string_view, FoundMember>> by_name;
  };
  unsigned word_size_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<uint32_t, std::unique_ptr<Entry>> known_;
};

}  // namespace kvista::type
