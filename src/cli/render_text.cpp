#include <fmt/format.h>

#include <algorithm>

#include "cli/report.h"

namespace kvista::cli {
namespace {

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kPlain = "\x1b[0m";

bool in_text(const Column& column) {
  return column.show != Show::only_json;
}
bool is_number(const Column& column) {
  return column.type == Type::integer || column.type == Type::real;
}

// The lines of a grid: cells as text, in the columns that text shows.
using Line = std::vector<std::string>;

Line to_line(const TableSpec& spec, const Row& row) {
  Line line;
  for (size_t i = 0; i < spec.columns.size(); ++i)
    if (in_text(spec.columns[i])) line.push_back(to_text(row.at(i)));
  return line;
}

size_t column_index(const TableSpec& spec, std::string_view name) {
  for (size_t i = 0; i < spec.columns.size(); ++i)
    if (spec.columns[i].name == name) return i;
  return spec.columns.size();
}

// A nested row in the columns of the table around it, by name; its first cell is indented.
Row fit_nested(const Table& nested, const Row& row, const TableSpec& outer) {
  Row fitted;
  for (const Column& column : outer.columns) {
    const size_t at = column_index(nested.spec, column.name);
    fitted.push_back(at < row.size() ? row[at] : Cell{});
  }
  fitted.front() = "  " + to_text(fitted.front());
  return fitted;
}

std::vector<Line> grid_lines(const Report& report, const Table& table) {
  std::vector<Line> lines;
  for (const Row& row : table.rows) {
    lines.push_back(to_line(table.spec, row));
    for (const Table& other : report.tables) {
      if (other.spec.nested_in != table.spec.name) continue;
      const size_t key = column_index(other.spec, other.spec.nest_key);
      for (const Row& nested : other.rows)
        if (nested.at(key) == row.front())
          lines.push_back(to_line(table.spec, fit_nested(other, nested, table.spec)));
    }
  }
  return lines;
}

std::string render_line(const Line& line, const std::vector<size_t>& widths, const std::vector<bool>& right) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (i != 0) text += "  ";
    text += right[i] ? fmt::format("{:>{}}", line[i], widths[i]) : fmt::format("{:<{}}", line[i], widths[i]);
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string render_grid(const Report& report, const Table& table, bool color) {
  Line titles;
  std::vector<bool> right;
  for (const Column& column : table.spec.columns) {
    if (!in_text(column)) continue;
    titles.push_back(column.title);
    right.push_back(is_number(column));
  }
  const std::vector<Line> lines = grid_lines(report, table);
  std::vector<size_t> widths;
  for (const std::string& title : titles) widths.push_back(title.size());
  for (const Line& line : lines)
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text =
      fmt::format("{}{}{}\n", color ? kBold : "", render_line(titles, widths, right), color ? kPlain : "");
  for (const Line& line : lines) text += render_line(line, widths, right) + "\n";
  return text;
}

std::string render_lines(const Table& table) {
  std::string text;
  for (const Row& row : table.rows)
    if (has_cells(table.spec, row, Show::only_json))
      text += fmt::format("{}\n", fmt::join(to_line(table.spec, row), "  "));
  return text;
}

std::string render_pairs(const Table& table) {
  size_t width = 0;
  for (const Column& column : table.spec.columns)
    if (in_text(column)) width = std::max(width, column.title.size());
  std::string text;
  for (const Row& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const Column& column = table.spec.columns[i];
      if (!in_text(column) || std::holds_alternative<std::monostate>(row[i])) continue;
      const std::string unit = column.unit.empty() ? "" : " " + column.unit;
      text += fmt::format("{:<{}} {}{}\n", column.title + ":", width + 1, to_text(row[i]), unit);
    }
  }
  return text;
}

std::string render_table(const Report& report, const Table& table, bool color) {
  switch (table.spec.layout) {
    case Layout::grid:
      return render_grid(report, table, color);
    case Layout::lines:
      return render_lines(table);
    case Layout::pairs:
      return render_pairs(table);
  }
  return {};
}

}  // namespace

std::string to_text(const Cell& cell) {
  struct Visitor {
    std::string operator()(std::monostate) const { return "-"; }
    std::string operator()(bool value) const { return value ? "yes" : "no"; }
    std::string operator()(uint64_t value) const { return fmt::format("{}", value); }
    std::string operator()(int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const { return fmt::format("{:.2f}", value); }
    std::string operator()(Hex hex) const { return fmt::format("{:#x}", hex.value); }
    std::string operator()(const std::string& value) const { return value; }
  };
  return std::visit(Visitor{}, cell);
}

std::string render_text(const Report& report, bool color) {
  std::string text;
  for (const Table& table : report.tables) {
    if (!table.spec.nested_in.empty() || table.rows.empty()) continue;
    const std::string part = render_table(report, table, color);
    if (!text.empty() && !part.empty()) text += "\n";
    text += part;
  }
  return text;
}

}  // namespace kvista::cli
