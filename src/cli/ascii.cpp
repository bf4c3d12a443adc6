// kvista ascii: numbers as the characters that they are made of.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::cli {
namespace {

TableSpec ascii_spec() {
  return {"ascii",
          "numbers as characters, the lowest byte first; without a number the characters of ASCII",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "the number, and its characters", Show::only_text},
           {"value", "VALUE", Type::hex, "", "the number", Show::only_json},
           {"text", "TEXT", Type::text, "", "its bytes; those that cannot be printed as <hexadecimal>",
            Show::only_json}}};
}

std::string shown(uint64_t byte) {
  constexpr uint64_t kSpace = 0x20;
  constexpr uint64_t kDelete = 0x7f;
  return byte >= kSpace && byte < kDelete ? std::string(1, static_cast<char>(byte))
                                          : fmt::format("<{:02x}>", byte);
}

// As a little-endian machine has it in memory.
std::string characters_of(uint64_t value) {
  constexpr unsigned kByte = 8;
  std::string text;
  do {
    text += shown(value & 0xff);
    value >>= kByte;
  } while (value != 0);
  return text;
}

// Sixteen rows of eight columns, as ascii(7) numbers them: the column is the upper digit.
void add_chart(Table& table) {
  constexpr unsigned kRows = 16;
  constexpr unsigned kColumns = 8;
  for (unsigned low = 0; low < kRows; ++low) {
    std::string line;
    for (unsigned high = 0; high < kColumns; ++high) {
      const unsigned code = high * kRows + low;
      line += fmt::format("{}{:02x} {:<4}", high == 0 ? "" : "  ", code, shown(code));
    }
    table.rows.push_back({line.substr(0, line.find_last_not_of(' ') + 1)});
  }
}

Report run(const Invocation& invocation) {
  Report report{"ascii", {{ascii_spec(), {}}}, {}, ExitStatus::complete};
  Table& table = report.tables[0];
  if (invocation.operands.empty()) add_chart(table);
  for (const std::string& operand : invocation.operands) {
    const auto value = vmcoreinfo::parse_number(operand, true);
    if (!value) throw UsageError(fmt::format("ascii: {} is no number in hexadecimal of 64 bits", operand));
    const std::string text = characters_of(*value);
    table.rows.push_back({fmt::format("{:016x}: {}", *value, text), Hex{*value}, text});
  }
  return report;
}

}  // namespace

Command make_ascii() {
  return {"ascii",
          "show numbers as the characters that they are made of",
          "kvista ascii 62696c2f7273752f\n  what a word of memory says, if it is text; without a number all "
          "of ASCII",
          {{"NUMBER", "in hexadecimal", false, {}, true}},
          {},
          {ascii_spec()},
          run};
}

}  // namespace kvista::cli
