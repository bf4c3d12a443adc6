#include "type/layout.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace kvista::type {
namespace {

constexpr unsigned kMostDepth = 32;
constexpr size_t kMostRows = 100'000;
constexpr unsigned kBits = 8;

bool is_nameless_compound(Type type) {
  const Kind kind = type.kind();
  return (kind == Kind::structure || kind == Kind::union_type) && type.name().empty();
}

// Goes through one type's members after another.
class Layout {
 public:
  void add_type(Type type, uint64_t start, unsigned depth, const std::string& head, const std::string& tail) {
    if (depth > kMostDepth || rows.size() > kMostRows)
      throw FormatError(fmt::format("type {} holds itself", type.id()), type.id());
    rows.push_back({LayoutKind::open, depth, head + " {"});
    uint64_t end = start;  // of the last member, in bits
    const bool is_union = type.kind() == Kind::union_type;
    for (const Member& member : type.members()) {
      const uint64_t at = start + member.bit_offset;
      if (!is_union && at > end) add_gap(LayoutKind::hole, depth + 1, end, at);
      end = std::max(end, add_member(member, at, depth + 1));
    }
    const uint64_t whole = start + type.size() * kBits;
    if (end < whole && !type.members().empty()) add_gap(LayoutKind::padding, depth + 1, end, whole);
    if (end > whole)
      rows.push_back({LayoutKind::damaged, depth + 1,
                      fmt::format("its members go on to {}, behind its end", (end + kBits - 1) / kBits),
                      whole / kBits});
    rows.push_back({LayoutKind::close, depth, tail, start / kBits, type.size() * kBits});
  }

  std::vector<LayoutRow> rows;

 private:
  void add_gap(LayoutKind kind, unsigned depth, uint64_t from, uint64_t to) {
    rows.push_back({kind, depth, {}, from / kBits, to - from});
  }

  // Where it ends, in bits.
  uint64_t add_member(const Member& member, uint64_t at, unsigned depth) {
    uint64_t size = 0;
    bool is_nameless = false;
    try {
      size = member.type.size() * kBits;
      is_nameless = is_nameless_compound(member.type);
      if (!is_nameless) rows.push_back(member_row(member, at, depth));
    } catch (const FormatError& error) {
      // The others are of use without it.
      rows.push_back(
          {LayoutKind::damaged, depth, fmt::format("{}: {}", member.name, error.what()), at / kBits});
      return at;
    }
    if (is_nameless) {
      const char* word = member.type.kind() == Kind::union_type ? "union" : "struct";
      add_type(member.type, at, depth, word, member.name.empty() ? "}" : fmt::format("}} {}", member.name));
      return at + size;
    }
    return at + (member.bit_size == 0 ? size : member.bit_size);
  }
};

}  // namespace

LayoutRow member_row(const Member& member, uint64_t bit_offset, unsigned depth) {
  const uint64_t size = member.type.size() * kBits;
  std::string text = member.type.declaration(member.name);
  if (member.bit_size == 0) return {LayoutKind::member, depth, std::move(text), bit_offset / kBits, size};
  const uint64_t unit = std::max<uint64_t>(size, kBits);
  text += fmt::format(":{}", member.bit_size);
  return {LayoutKind::member, depth, std::move(text), bit_offset / unit * unit / kBits, member.bit_size,
          bit_offset % unit};
}

std::vector<LayoutRow> layout_of(Type type) {
  const Type resolved = type.resolved();
  Layout layout;
  layout.add_type(resolved, 0, 0, resolved.declaration(), "}");
  return std::move(layout.rows);
}

}  // namespace kvista::type
