#include "cli/layout_table.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "type/layout.h"

namespace kvista::cli {
namespace {

using type::Kind;
using type::LayoutKind;
using type::LayoutRow;

constexpr unsigned kBits = 8;

const char* name_of(LayoutKind kind) {
  switch (kind) {
    case LayoutKind::open:
      return "open";
    case LayoutKind::member:
      return "member";
    case LayoutKind::hole:
      return "hole";
    case LayoutKind::padding:
      return "padding";
    case LayoutKind::damaged:
      return "damaged";
    case LayoutKind::close:
      return "close";
  }
  return "";
}

std::string size_text(uint64_t bits) {
  const bool whole = bits % kBits == 0;
  const uint64_t count = whole ? bits / kBits : bits;
  return fmt::format("{} {}{}", count, whole ? "byte" : "bit", count == 1 ? "" : "s");
}

std::string line_of(const LayoutRow& row) {
  constexpr size_t kWidth = 56;
  const std::string indent(size_t{4} * row.depth, ' ');
  switch (row.kind) {
    case LayoutKind::open:
      return indent + row.declaration;
    case LayoutKind::hole:
      return fmt::format("{}/* {}: {} unused */", indent, *row.offset, size_text(row.bits));
    case LayoutKind::padding:
      return fmt::format("{}/* {}: {} of padding */", indent, *row.offset, size_text(row.bits));
    case LayoutKind::damaged:
      return fmt::format("{}/* {}: damaged: {} */", indent, *row.offset, row.declaration);
    default:
      break;
  }
  if (row.depth == 0) return fmt::format("{}; /* size: {} */", row.declaration, row.bits / kBits);
  const std::string place = row.bit
                                ? fmt::format("{:>5}:{:2} {:>5}", *row.offset, *row.bit, size_text(row.bits))
                                : fmt::format("{:>5} {:>5}", *row.offset, row.bits / kBits);
  return fmt::format("{:<{}} /* {} */", indent + row.declaration + ";", kWidth, place);
}

// As crash has it: "[ffffffff81000010] struct list_head *next;".
std::string line_at(const LayoutRow& row, VirtAddr address) {
  const std::string bits = row.bit ? fmt::format(" /* bit {}, {} */", *row.bit, size_text(row.bits)) : "";
  return fmt::format("{}[{:x}] {};{}", std::string(size_t{4} * row.depth, ' '), address.value,
                     row.declaration, bits);
}

Row cells_of(const LayoutRow& row, std::optional<VirtAddr> at) {
  const bool is_open = row.kind == LayoutKind::open;
  const auto address =
      at && row.offset && row.kind == LayoutKind::member ? std::optional(*at + *row.offset) : std::nullopt;
  return {address ? line_at(row, *address) : line_of(row),
          std::string(name_of(row.kind)),
          uint64_t{row.depth},
          row.declaration.empty() ? Cell{} : Cell(row.declaration),
          row.offset ? Cell(*row.offset) : Cell{},
          is_open ? Cell{} : Cell(row.bits),
          row.bit ? Cell(*row.bit) : Cell{},
          Cell{},
          address ? Cell(Hex{address->value}) : Cell{}};
}

Cell enumerator_value(const type::Enumerator& one, bool is_signed) {
  return is_signed ? Cell(static_cast<int64_t>(one.value)) : Cell(one.value);
}

void add_enumeration(const type::Type& found, Table& table) {
  const bool is_signed = found.is_signed();
  table.rows.push_back(plain_row("open", found.declaration() + " {"));
  for (const type::Enumerator& one : found.enumerators()) {
    const Cell value = enumerator_value(one, is_signed);
    table.rows.push_back({fmt::format("    {} = {},", one.name, to_text(value)), std::string("enumerator"),
                          uint64_t{1}, std::string(one.name), Cell{}, Cell{}, Cell{}, value, Cell{}});
  }
  table.rows.push_back(plain_row("close", fmt::format("}}; /* size: {} */", found.size())));
}

}  // namespace

TableSpec layout_spec() {
  return {"layout",
          "how the type lies in memory, line by line",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "as C declares it, with offset and size", Show::only_text},
           {"kind", "KIND", Type::text, "",
            "open, member, hole, padding, damaged (a type makes no sense) or close (the end of what was "
            "opened), or enumerator",
            Show::only_json},
           {"depth", "DEPTH", Type::integer, "", "how many types it is within", Show::only_json},
           {"declaration", "DECLARATION", Type::text, "", "as in C", Show::only_json},
           {"offset", "OFFSET", Type::integer, "bytes",
            "from the start of the type; of a bit-field its integer's", Show::only_json},
           {"bits", "BITS", Type::integer, "bits", "its size", Show::only_json},
           {"first_bit", "FIRST BIT", Type::integer, "", "of a bit-field, in its integer", Show::only_json},
           {"value", "VALUE", Type::integer, "", "of an enumerator", Show::only_json},
           {"address", "ADDRESS", Type::hex, "", "of a member, where the type is at one", Show::only_json}}};
}

Row plain_row(const std::string& kind, const std::string& text) {
  return {text, kind, uint64_t{0}, text, Cell{}, Cell{}, Cell{}, Cell{}, Cell{}};
}

void add_layout(const type::Type& found, Report& report, std::optional<VirtAddr> at) {
  Table& table = report.tables.front();
  if (found.kind() == Kind::enumeration) return add_enumeration(found, table);
  size_t damaged = 0;
  for (const LayoutRow& row : type::layout_of(found)) {
    table.rows.push_back(cells_of(row, at));
    damaged += row.kind == LayoutKind::damaged ? 1 : 0;
  }
  if (damaged > 0)
    add_missing(report, fmt::format("{} is damaged at {}: the lines say how", found.declaration(),
                                    damaged == 1 ? "1 place" : fmt::format("{} places", damaged)));
}

void add_member(const type::Type& found, const std::string& name, Table& table, std::optional<VirtAddr> at) {
  const auto member = found.find_member(name);
  if (!member) throw NotFound(fmt::format("{} has no member {}", found.declaration(), name));
  const type::Member own{name, member->type, member->bit_offset, member->bit_size};
  table.rows.push_back(cells_of(type::member_row(own, own.bit_offset, 1), at));
}

}  // namespace kvista::cli
