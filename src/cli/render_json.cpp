#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/report.h"

namespace kvista::cli {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Cell& cell) {
  struct Visitor {
    Json operator()(std::monostate) const { return nullptr; }
    Json operator()(Hex hex) const { return fmt::format("{:#x}", hex.value); }
    Json operator()(bool value) const { return value; }
    Json operator()(uint64_t value) const { return value; }
    Json operator()(int64_t value) const { return value; }
    Json operator()(double value) const { return value; }
    Json operator()(const std::string& value) const { return value; }
  };
  return std::visit(Visitor{}, cell);
}

Json to_json(const TableSpec& spec, const Row& row) {
  Json object = Json::object();
  for (size_t i = 0; i < spec.columns.size(); ++i)
    if (spec.columns[i].show != Show::only_text) object[spec.columns[i].name] = to_json(row.at(i));
  return object;
}

// Text from an image may hold any bytes: what is no UTF-8 is replaced.
std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json type_of(const Column& column) {
  switch (column.type) {
    case Type::text:
      return {{"type", {"string", "null"}}};
    case Type::boolean:
      return {{"type", {"boolean", "null"}}};
    case Type::integer:
      return {{"type", {"integer", "null"}}};
    case Type::real:
      return {{"type", {"number", "null"}}};
    case Type::hex:
      return {{"type", {"string", "null"}}, {"pattern", "^0x[0-9a-f]+$"}};
    case Type::any:
      return {{"type", {"string", "integer", "null"}}};
  }
  return {};
}

Json schema_of_row(const std::vector<Column>& columns) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Column& column : columns) {
    if (column.show == Show::only_text) continue;
    Json property = type_of(column);
    property["description"] =
        column.unit.empty() ? column.description : fmt::format("{} ({})", column.description, column.unit);
    properties[column.name] = property;
    required.push_back(column.name);
  }
  return {{"type", "object"}, {"properties", properties}, {"required", required}};
}

Json schema_of(const TableSpec& table) {
  Json row = schema_of_row(table.columns);
  if (!table.alternatives.empty()) {
    Json rows = Json::array({row});
    for (const std::vector<Column>& columns : table.alternatives) rows.push_back(schema_of_row(columns));
    row = {{"oneOf", rows}};
  }
  return {{"type", "array"}, {"description", table.description}, {"items", row}};
}

}  // namespace

std::string render_json(const Report& report) {
  Json tables = Json::object();
  for (const Table& table : report.tables) {
    Json rows = Json::array();
    for (const Row& row : table.rows)
      if (has_cells(table.spec, row, Show::only_text)) rows.push_back(to_json(table.spec, row));
    tables[table.spec.name] = rows;
  }
  return dump({{"command", report.command},
               {"tables", tables},
               {"warnings", report.warnings},
               {"exit_status", static_cast<int>(report.status)}},
              2);
}

std::string render_ndjson(const Report& report) {
  std::string lines;
  for (const Table& table : report.tables) {
    for (const Row& row : table.rows) {
      if (!has_cells(table.spec, row, Show::only_text)) continue;
      Json object = {{"table", table.spec.name}};
      object.update(to_json(table.spec, row));
      lines += dump(object, -1);
    }
  }
  for (const std::string& warning : report.warnings)
    lines += dump({{"table", "warnings"}, {"warning", warning}}, -1);
  return lines;
}

std::string render_json_error(std::string_view command, std::string_view message, ExitStatus status) {
  return dump({{"command", command}, {"error", message}, {"exit_status", static_cast<int>(status)}}, 2);
}

std::string render_schema(std::string_view command, const std::vector<TableSpec>& tables) {
  Json properties = Json::object();
  for (const TableSpec& table : tables) properties[table.name] = schema_of(table);
  return dump(
      {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
       {"title", fmt::format("kvista {} --json", command)},
       {"type", "object"},
       {"properties",
        {{"command", {{"const", command}}},
         {"tables", {{"type", "object"}, {"properties", properties}}},
         {"warnings", {{"type", "array"}, {"items", {{"type", "string"}}}}},
         {"exit_status", {{"type", "integer"}, {"minimum", 0}, {"maximum", 3}}},
         {"error", {{"type", "string"}, {"description", "in place of the tables: why there are none"}}}}},
       {"required", {"command", "exit_status"}}},
      2);
}

}  // namespace kvista::cli
