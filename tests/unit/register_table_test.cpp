// How registers are shown: as crash lays them out, and as columns of JSON.
#include "cli/register_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace kvista::cli {
namespace {

using testing::HasSubstr;

arch::Registers numbered(const RegisterView& view) {
  arch::Registers registers{view.set};
  for (size_t i = 0; i < view.set->names.size(); ++i) registers.put(i, 0x10 + i);
  return registers;
}

// Each register that there is has a column, and stands on a line.
TEST(RegisterTableTest, Complete) {
  for (const RegisterView& view : register_views()) {
    SCOPED_TRACE(view.architecture);
    std::set<uint8_t> columns(view.columns.begin(), view.columns.end());
    EXPECT_EQ(columns.size(), view.set->names.size());
    EXPECT_EQ(columns.size(), view.columns.size());
    std::set<uint8_t> on_lines;
    for (const auto& line : view.lines) on_lines.insert(line.begin(), line.end());
    EXPECT_EQ(on_lines, columns);
    std::set<std::string> names;
    for (const Column& column : register_columns(view)) names.insert(column.name);
    EXPECT_EQ(names.size(), view.columns.size());
  }
}

TEST(RegisterTableTest, Arm64) {
  const RegisterView& view = register_view("arm64");
  EXPECT_EQ(name_of_ip(view), "PC");
  arch::Registers registers = numbered(view);
  auto lines = register_lines(view, registers);
  ASSERT_EQ(lines.size(), 12U);
  EXPECT_EQ(lines.front(), "    PC:  0000000000000030  LR:  000000000000002e  SP:  000000000000002f");
  EXPECT_EQ(lines[1], "    X29: 000000000000002d  X28: 000000000000002c  X27: 000000000000002b");
  EXPECT_EQ(lines.back(), "    ORIG_X0: 0000000000000032  SYSCALLNO: 00000033  PSTATE: 00000031");
  const auto columns = register_columns(view);
  EXPECT_EQ(columns.front().name, "x0");
  EXPECT_EQ(columns[30].name, "x30");
  EXPECT_EQ(columns[31].name, "sp");
  EXPECT_EQ(columns[32].name, "pc");
  EXPECT_EQ(columns[33].name, "pstate");
  // A note does not have all.
  registers.known &= (uint64_t{1} << 34) - 1;
  lines = register_lines(view, registers);
  EXPECT_EQ(lines.back(), "    PSTATE: 00000031");
  Row row;
  add_register_cells(row, view, registers);
  ASSERT_EQ(row.size(), 36U);
  EXPECT_EQ(row[0], Cell(Hex{0x10}));
  EXPECT_EQ(row[35], Cell());
}

// The schema has a shape of row for each architecture.
TEST(RegisterTableTest, Schema) {
  TableSpec spec{"registers", "x", Layout::lines, register_columns(register_view("x86_64"))};
  EXPECT_THAT(render_schema("bt", {spec}), testing::Not(HasSubstr("oneOf")));
  spec.alternatives.push_back(register_columns(register_view("arm64")));
  const std::string schema = render_schema("bt", {spec});
  EXPECT_THAT(schema, HasSubstr("oneOf"));
  EXPECT_THAT(schema, HasSubstr("\"rip\""));
  EXPECT_THAT(schema, HasSubstr("\"syscallno\""));
}

}  // namespace
}  // namespace kvista::cli
