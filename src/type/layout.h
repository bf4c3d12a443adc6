// How a struct or union lies in memory: its members in order, with offsets, sizes and holes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kvista/type.h"

namespace kvista::type {

enum class LayoutKind : uint8_t {
  open,  ///< "struct task_struct {": the type itself, or a member whose type has no name
  member,
  hole,     ///< bits that no member uses
  padding,  ///< the same at the end
  close,    ///< "} name": where and how large the member is that was opened
  damaged,  ///< what makes no sense here: a sentence
};

struct LayoutRow {
  LayoutKind kind = LayoutKind::member;
  unsigned depth = 0;
  std::string declaration;           ///< as in C, without the semicolon; empty for holes
  std::optional<uint64_t> offset{};  ///< in bytes from the start of the whole; of a bit-field its integer's
  uint64_t bits = 0;                 ///< size, in bits
  std::optional<uint64_t> bit{};     ///< of a bit-field: its first bit, counted in its integer
};

/// The row of one member that begins at `bit_offset`, counted from the start of the whole.
LayoutRow member_row(const Member& member, uint64_t bit_offset, unsigned depth);
/// The layout of a struct or union. Throws FormatError where it is damaged itself, or has a member without a
/// name that holds it.
std::vector<LayoutRow> layout_of(Type type);

}  // namespace kvista::type
