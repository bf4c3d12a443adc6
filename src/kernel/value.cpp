#include "kvista/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/endian.h"
#include "base/error.h"
#include "kernel/bit_field.h"
#include "kernel/format_value.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista {

using kernel::Path;
using type::Kind;
using type::Type;

namespace {

constexpr unsigned kBits = 8;

std::shared_ptr<const Path> step(Path::Step kind, std::string name, int64_t index,
                                 std::shared_ptr<const Path> from) {
  return std::make_shared<const Path>(Path{kind, std::move(name), index, std::move(from)});
}

bool is_number(Kind kind) {
  return kind == Kind::integer || kind == Kind::boolean || kind == Kind::character ||
         kind == Kind::enumeration || kind == Kind::pointer;
}

uint64_t sign_extend(uint64_t value, unsigned bits) {
  if (bits == 0 || bits >= 64) return value;
  const uint64_t sign = uint64_t{1} << (bits - 1);
  value &= (sign << 1) - 1;
  return (value ^ sign) - sign;
}

uint64_t truncate(uint64_t value, uint64_t size) {
  return size >= 8 || size == 0 ? value : value & ((uint64_t{1} << (size * kBits)) - 1);
}

}  // namespace

std::optional<VirtAddr> Value::address() const {
  return place_ == Place::number ? std::nullopt : std::optional(address_);
}

std::string Value::expression() const {
  if (path_ == nullptr && session_ != nullptr && place_ == Place::number)
    return type_.resolved().kind() == Kind::pointer ? fmt::format("(({}){:#x})", type_.declaration(), number_)
                                                    : fmt::format("{}", static_cast<int64_t>(number_));
  return to_text(path_.get());
}

// What is worked out has no name but its number.
std::shared_ptr<const Path> Value::origin() const {
  return path_ ? path_ : step(Path::Step::name, expression(), 0, nullptr);
}

Value Value::with(Type type, VirtAddr at, std::shared_ptr<const Path> path) const {
  Value value;
  value.session_ = session_;
  value.type_ = type;
  value.address_ = at;
  value.place_ = place_ == Place::per_cpu ? Place::per_cpu : Place::memory;
  value.path_ = std::move(path);
  return value;
}

Value Value::operator[](std::string_view member) const {
  const Type own = type_.resolved();
  if (own.kind() == Kind::pointer) {
    if (!own.target().is_compound())
      throw UsageError(
          fmt::format("{} is a {}: it leads to nothing with members", expression(), type_.declaration()));
    Value target = **this;
    target.path_ = path_;
    Value found = target[member];
    found.path_ = step(Path::Step::arrow, std::string(member), 0, origin());
    return found;
  }
  if (!own.is_compound()) {
    if (own.kind() == Kind::nothing) session_->fail_untyped(expression(), "((struct list_head *)&{})->next");
    throw UsageError(fmt::format("{} is a {}: it has no members", expression(), type_.declaration()));
  }
  const auto found = own.find_member(member);
  if (!found) throw NotFound(fmt::format("{} has no member {}", own.declaration(), member));
  if (place_ == Place::number) throw UsageError(fmt::format("{} is nowhere in memory", expression()));
  Value value = with(found->type, address_ + found->bit_offset / kBits,
                     step(Path::Step::member, std::string(member), 0, path_));
  if (found->bit_size != 0) {
    if (found->bit_size > 64) throw FormatError(fmt::format("it has {} bits", found->bit_size), 0);
    value.bit_offset_ = static_cast<uint8_t>(found->bit_offset % kBits);
    value.bit_size_ = static_cast<uint8_t>(found->bit_size);
  }
  return value;
}

bool Value::has(std::string_view member) const {
  const Type own = type_.resolved();
  return (own.kind() == Kind::pointer ? own.target() : own).find_member(member).has_value();
}

Value Value::element(int64_t index) const {
  const Type own = type_.resolved();
  if (own.kind() != Kind::array && own.kind() != Kind::pointer)
    throw UsageError(fmt::format("{} is a {}: it has no elements", expression(), type_.declaration()));
  const Type element = own.target();
  const uint64_t size = element.is(Kind::nothing) ? 1 : element.size();
  Value value = own.kind() == Kind::pointer ? **this : *this;
  return value.with(element, value.address_ + static_cast<uint64_t>(index) * size,
                    step(Path::Step::index, {}, index, origin()));
}

Value Value::operator*() const {
  const Type own = type_.resolved();
  if (own.kind() == Kind::array) return element(0);
  if (own.kind() != Kind::pointer)
    throw UsageError(fmt::format("{} is a {}: it leads nowhere", expression(), type_.declaration()));
  const VirtAddr at = target();
  Value value = with(own.target(), at, step(Path::Step::dereference, {}, 0, origin()));
  value.place_ = Place::memory;
  return value;
}

Value Value::pointer() const {
  if (place_ == Place::number) throw UsageError(fmt::format("{} is nowhere in memory", expression()));
  if (bit_size_ != 0) throw UsageError(fmt::format("{} is a bit-field: it has no address", expression()));
  Value value;
  value.session_ = session_;
  value.type_ = session_->types().derived().pointer_to(type_);
  value.number_ = address_.value;
  value.path_ = step(Path::Step::address, {}, 0, path_);
  return value;
}

Value Value::cast(Type type) const {
  if (place_ != Place::number && type.is_compound()) {
    Value value = *this;
    value.type_ = type;
    value.bit_size_ = 0;
    return value;
  }
  Value value;
  value.session_ = session_;
  value.type_ = type;
  value.path_ = path_;
  const uint64_t bits = truncate(number(), type.size());
  value.number_ = type.is_signed() ? sign_extend(bits, static_cast<unsigned>(type.size() * kBits)) : bits;
  if (type.is(Kind::boolean)) value.number_ = number() != 0 ? 1 : 0;
  return value;
}

Value Value::cast(std::string_view type) const {
  return cast(session_->types().resolve(type));
}

Value Value::container_of(std::string_view type, std::string_view member) const {
  const Type own = session_->types().by_word(type.starts_with("struct ") ? type.substr(7) : type);
  const uint64_t offset = kernel::member_offset(own, member);
  const bool is_pointer = type_.is(Kind::pointer);
  return session_->object(own, VirtAddr{(is_pointer ? number() : address_.value) - offset});
}

Value Value::per_cpu(unsigned cpu) const {
  Value value = *this;
  if (place_ == Place::number) {  // a pointer that stands for one place on each CPU
    value.number_ = number() + session_->per_cpu_offset(cpu);
    return value;
  }
  if (place_ == Place::memory && type_.is(Kind::pointer)) {
    value.place_ = Place::number;
    value.bit_size_ = 0;
    value.number_ = number() + session_->per_cpu_offset(cpu);
    return value;
  }
  value.address_ = address_ + session_->per_cpu_offset(cpu);
  value.place_ = Place::memory;
  value.path_ = step(Path::Step::name, fmt::format("{}:{}", expression(), cpu), 0, nullptr);
  return value;
}

// A bit-field, or a number of up to 8 bytes.
uint64_t Value::bits() const {
  if (place_ == Place::per_cpu)
    throw UsageError(fmt::format("each CPU has its own {0}: say whose, as in {0}:0", expression()));
  const Path* path = path_.get();
  if (bit_size_ == 0) {
    const uint64_t size = type_.size();
    if (size == 0 || size > sizeof(uint64_t))
      throw UsageError(
          fmt::format("{} is a {} of {} bytes: no number", expression(), type_.declaration(), size));
    return session_->read_number(address_, size, path);
  }
  std::array<std::byte, 9> bytes{};
  const auto wanted = std::span(bytes).first((bit_offset_ + size_t{bit_size_} + kBits - 1) / kBits);
  session_->read(address_, wanted, path);
  return kernel::extract_bits(wanted, bit_offset_, bit_size_, session_->byte_order());
}

uint64_t Value::number() const {
  if (place_ == Place::number) return number_;
  const Type own = type_.resolved();
  if (own.kind() == Kind::array || own.kind() == Kind::function) {
    if (place_ == Place::per_cpu) return bits();
    return address_.value;
  }
  if (own.kind() == Kind::nothing) session_->fail_untyped(expression(), "*(unsigned long *)&{}");
  if (!is_number(own.kind())) {
    if (own.is_compound() && own.members().size() == 1) {
      // atomic_t and its like are numbers in a struct.
      return (*this)[own.members().front().name].number();
    }
    throw UsageError(fmt::format("{} is a {}: no number", expression(), type_.declaration()));
  }
  const uint64_t raw = bits();
  const unsigned size = bit_size_ != 0 ? bit_size_ : static_cast<unsigned>(own.size() * kBits);
  return own.is_signed() ? sign_extend(raw, size) : raw;
}

std::string Value::text(size_t most) const {
  const Type own = type_.resolved();
  if (own.kind() != Kind::array && own.kind() != Kind::pointer)
    throw UsageError(fmt::format("{} is a {}: no text", expression(), type_.declaration()));
  const VirtAddr at{number()};
  if (own.kind() == Kind::array && own.count() != 0) most = std::min<size_t>(most, own.count());
  constexpr size_t kPiece = 256;
  std::string text;
  std::array<std::byte, kPiece> piece{};
  while (text.size() < most) {
    const VirtAddr next = at + text.size();
    const size_t size = std::min(most - text.size(), kPiece - next.value % kPiece);
    const auto wanted = std::span(piece).first(size);
    session_->read(next, wanted, path_.get());
    for (const std::byte byte : wanted) {
      if (byte == std::byte{0}) return text;
      text += static_cast<char>(byte);
    }
  }
  return text;
}

std::string Value::format() const {
  std::string text;
  for (const kernel::ValueLine& line : kernel::value_lines(*session_, *this).lines)
    text +=
        fmt::format("{}{}{}", text.empty() ? "" : "\n", std::string(size_t{2} * line.depth, ' '), line.text);
  return text;
}

}  // namespace kvista
