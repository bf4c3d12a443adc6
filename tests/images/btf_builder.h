// Writes BTF for tests, type by type.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "images/byte_writer.h"

namespace kvista::test {

/// Types get the numbers 1, 2 ... in the order in which they are added; split BTF goes on from its base's.
class BtfBuilder {
 public:
  struct Member {
    std::string_view name;
    uint32_t type;
    uint32_t bit_offset;
    uint32_t bit_size = 0;
  };
  struct Enumerator {
    std::string_view name;
    int64_t value;
  };

  explicit BtfBuilder(ByteOrder order = ByteOrder::little) : types_(order), order_(order) {
    strings_.push_back('\0');
  }
  /// Split BTF over `base`.
  BtfBuilder(ByteOrder order, const BtfBuilder& base)
      : types_(order),
        order_(order),
        next_(base.next_),
        first_string_(base.first_string_ + static_cast<uint32_t>(base.strings_.size())) {}

  uint32_t integer(std::string_view name, uint32_t size, bool is_signed = false, bool is_boolean = false) {
    const uint32_t id = add(name, 1, 0, size);
    types_.u32((is_signed ? 1U << 24 : 0) | (is_boolean ? 4U << 24 : 0) | size * 8);
    return id;
  }
  uint32_t pointer(uint32_t target) { return add("", 2, 0, target); }
  uint32_t array(uint32_t element, uint32_t index, uint32_t count) {
    const uint32_t id = add("", 3, 0, 0);
    types_.u32(element);
    types_.u32(index);
    types_.u32(count);
    return id;
  }
  uint32_t structure(std::string_view name, uint32_t size, const std::vector<Member>& members,
                     bool is_union = false) {
    bool has_bits = false;
    for (const Member& member : members) has_bits = has_bits || member.bit_size != 0;
    const uint32_t id =
        add(name, is_union ? 5 : 4, static_cast<uint32_t>(members.size()) | (has_bits ? 1U << 31 : 0), size);
    for (const Member& member : members) {
      types_.u32(string(member.name));
      types_.u32(member.type);
      types_.u32(member.bit_offset | member.bit_size << 24);
    }
    return id;
  }
  uint32_t enumeration(std::string_view name, const std::vector<Enumerator>& values) {
    bool is_signed = false;
    for (const Enumerator& one : values) is_signed = is_signed || one.value < 0;
    const uint32_t id = add(name, 6, static_cast<uint32_t>(values.size()) | (is_signed ? 1U << 31 : 0), 4);
    for (const Enumerator& one : values) {
      types_.u32(string(one.name));
      types_.u32(static_cast<uint32_t>(one.value));
    }
    return id;
  }
  /// typedef (8), volatile (9), const (10), restrict (11), function (12), type tag (18) ...
  uint32_t reference(uint32_t kind, std::string_view name, uint32_t target) {
    return add(name, kind, 0, target);
  }
  uint32_t prototype(uint32_t result, const std::vector<Member>& parameters) {
    const uint32_t id = add("", 13, static_cast<uint32_t>(parameters.size()), result);
    for (const Member& one : parameters) {
      types_.u32(string(one.name));
      types_.u32(one.type);
    }
    return id;
  }
  uint32_t variable(std::string_view name, uint32_t type) {
    const uint32_t id = add(name, 14, 0, type);
    types_.u32(1);
    return id;
  }
  /// Any type at all: `info` is kind << 24, the flag and the number of entries.
  uint32_t add(std::string_view name, uint32_t kind, uint32_t info, uint32_t size_or_type) {
    types_.u32(string(name));
    types_.u32(kind << 24 | info);
    types_.u32(size_or_type);
    return next_++;
  }

  std::vector<std::byte> build() const {
    ByteWriter out(order_);
    out.u16(0xeb9f);
    out.u8(1);
    out.u8(0);
    out.u32(24);
    out.u32(0);
    out.u32(static_cast<uint32_t>(types_.size()));
    out.u32(static_cast<uint32_t>(types_.size()));
    out.u32(static_cast<uint32_t>(strings_.size()));
    ByteWriter types = types_;
    std::vector<std::byte> bytes = out.take();
    const std::vector<std::byte> body = types.take();
    bytes.insert(bytes.end(), body.begin(), body.end());
    for (const char c : strings_) bytes.push_back(static_cast<std::byte>(c));
    return bytes;
  }

 private:
  uint32_t string(std::string_view text) {
    if (text.empty()) return 0;
    const auto at = static_cast<uint32_t>(strings_.size());
    strings_.append(text);
    strings_.push_back('\0');
    return first_string_ + at;
  }

  ByteWriter types_;
  ByteOrder order_;
  std::string strings_;
  uint32_t next_ = 1;
  uint32_t first_string_ = 0;
};

}  // namespace kvista::test
