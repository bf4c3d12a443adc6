// Values of a kernel's variables, with their types: kernel["init_task"]["comm"].
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "kvista/address.h"
#include "kvista/export.h"
#include "kvista/type.h"

namespace kvista {

class Value;

namespace kernel {
class Session;
struct Path;
const Session& session_of(const Value& value);
}  // namespace kernel

/// A value: a place in the kernel's memory that has a type, or a number that was worked out. Light, copied,
/// and good as long as the kernel that it came from. Nothing is read before a number or a text is asked for.
///
/// All functions throw FaultError where memory is not there (it names the expression, the address and the
/// state of the page), NotFound for a member or type that there is not, FormatError where types are damaged,
/// UsageError for what makes no sense, such as the member of a number.
class KVISTA_API Value {
 public:
  type::Type type() const { return type_; }
  /// Where it is, unless it is a number that was worked out.
  std::optional<VirtAddr> address() const;
  /// How it was come by, as C writes it: "init_task.comm".
  std::string expression() const;

  /// A member of a struct, or of the one that a pointer leads to; those of members without a name too.
  Value operator[](std::string_view member) const;
  Value operator[](const char* member) const { return (*this)[std::string_view(member)]; }
  /// An element of an array, or of what a pointer leads to.
  template <std::integral Index>
  Value operator[](Index index) const {
    return element(static_cast<int64_t>(index));
  }
  /// What a pointer leads to.
  Value operator*() const;
  /// Whether there is such a member: kernels differ.
  bool has(std::string_view member) const;
  /// A pointer to this place.
  Value pointer() const;
  /// The same bits, or number, as another type.
  Value cast(type::Type type) const;
  Value cast(std::string_view type) const;
  /// The struct `type` whose `member` ("tasks", "sibling.next") this place is, or this pointer leads to.
  Value container_of(std::string_view type, std::string_view member) const;
  /// A variable that each CPU has: that of one CPU.
  Value per_cpu(unsigned cpu) const;
  /// Whether it is a variable that each CPU has, and none was chosen yet.
  bool is_per_cpu() const { return place_ == Place::per_cpu; }

  /// An integer, enumeration, pointer or bit-field; sign-extended where its type is signed. An array's or a
  /// function's is its address.
  uint64_t number() const;
  int64_t signed_number() const { return static_cast<int64_t>(number()); }
  /// Whether the number is not 0.
  explicit operator bool() const { return number() != 0; }
  /// Where a pointer leads to.
  VirtAddr target() const { return VirtAddr{number()}; }
  /// The characters of an array, or those that a pointer leads to, up to the first 0 and at most `most`.
  std::string text(size_t most = 4096) const;
  /// As C would write it, on several lines where it has members.
  std::string format() const;

 private:
  friend class kernel::Session;
  friend const kernel::Session& kernel::session_of(const Value& value);
  enum class Place : uint8_t { number, memory, per_cpu };
  Value element(int64_t index) const;
  Value with(type::Type type, VirtAddr at, std::shared_ptr<const kernel::Path> path) const;
  uint64_t bits() const;
  std::shared_ptr<const kernel::Path> origin() const;

  const kernel::Session* session_ = nullptr;
  type::Type type_;
  VirtAddr address_;
  uint64_t number_ = 0;
  std::shared_ptr<const kernel::Path> path_;
  Place place_ = Place::number;
  uint8_t bit_offset_ = 0;  // of a bit-field, from address_ on; below 8
  uint8_t bit_size_ = 0;
};

}  // namespace kvista
