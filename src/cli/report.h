// What a command returns: named, typed columns with units. Tables for people, JSON and NDJSON are renderings
// of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace kvista::cli {

/// A number that is written in hexadecimal: an address, a mask. A JSON string, because JSON readers lose bits
/// of large numbers.
struct Hex {
  uint64_t value = 0;
  friend bool operator==(const Hex&, const Hex&) = default;
};

/// One value. Nothing (monostate) is an empty cell, and null in JSON.
using Cell = std::variant<std::monostate, bool, uint64_t, int64_t, double, Hex, std::string>;

enum class Type { text, boolean, integer, real, hex, any };

/// Who sees a column.
enum class Show { everywhere, only_text, only_json };

struct Column {
  std::string name;   ///< in JSON
  std::string title;  ///< over the column in a table
  Type type = Type::text;
  std::string unit;  ///< "pages", "bytes", "%"; empty where there is none
  std::string description;
  Show show = Show::everywhere;
};

/// How a table looks as text.
enum class Layout {
  grid,   ///< columns under titles
  lines,  ///< the one column that text shows, without a title
  pairs,  ///< "title: value", a line each
};

/// The fixed part of a table: what the schema is made of.
struct TableSpec {
  std::string name;
  std::string description;
  Layout layout = Layout::grid;
  std::vector<Column> columns;
  /// In text, rows are shown within this table, indented below the row whose first cell equals their cell
  /// `nest_key`.
  std::string nested_in = {};
  std::string nest_key = {};
  /// Other columns that rows can have in place of `columns`, all rows of a report the same.
  std::vector<std::vector<Column>> alternatives = {};
};

using Row = std::vector<Cell>;

struct Table {
  TableSpec spec;
  std::vector<Row> rows;
};

/// Whether a row says anything in a rendering that leaves out the columns whose Show is `hidden`. One that
/// does not belongs to the row before it in text (two numbers of one line), or is no value in JSON (a brace).
inline bool has_cells(const TableSpec& spec, const Row& row, Show hidden) {
  for (size_t i = 0; i < row.size(); ++i)
    if (spec.columns[i].show != hidden && !std::holds_alternative<std::monostate>(row[i])) return true;
  return false;
}

struct Report {
  std::string command;
  std::vector<Table> tables;
  std::vector<std::string> warnings;  ///< one sentence each; go to standard error
  ExitStatus status = ExitStatus::complete;
  bool to_stderr = false;  ///< standard output is taken by what the command made
};

/// The cell as text: "4096", "0xff11000000000000", "yes", "12.50".
std::string to_text(const Cell& cell);

/// The report as tables for people, with `color` for a terminal.
std::string render_text(const Report& report, bool color);
/// The report as one JSON document.
std::string render_json(const Report& report);
/// The report as one JSON object a row, each with the table's name in "table".
std::string render_ndjson(const Report& report);
/// An error as a JSON document.
std::string render_json_error(std::string_view command, std::string_view message, ExitStatus status);
/// The JSON Schema of what `command` prints with --json.
std::string render_schema(std::string_view command, const std::vector<TableSpec>& tables);

}  // namespace kvista::cli
