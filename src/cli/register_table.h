// How registers are shown: for each architecture, which as columns of JSON and which on a line of text.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "arch/registers.h"
#include "cli/report.h"

namespace kvista::cli {

/// How the registers of one architecture are shown.
struct RegisterView {
  std::string_view architecture;  ///< by the fact `arch`
  const arch::RegisterSet* set;
  std::span<const uint8_t> columns;                 ///< in the order of JSON
  std::span<const std::span<const uint8_t>> lines;  ///< of text, as crash lays them out
  /// What is not said by a name: of which register, and what it means.
  struct Note {
    uint8_t reg;
    const char* title;    ///< in text in place of its name; null: its name
    const char* meaning;  ///< in JSON's schema
    unsigned digits;      ///< in text; 0: 16
  };
  std::span<const Note> notes;
};

/// All that can be shown. The first is for kernels whose stacks are not followed, and have none.
std::span<const RegisterView> register_views();
/// The one of an architecture, else the first.
const RegisterView& register_view(std::string_view architecture);

/// The columns of a table.
std::vector<Column> register_columns(const RegisterView& view);
/// The cells of those columns: empty for what is not known.
void add_register_cells(Row& row, const RegisterView& view, const arch::Registers& registers);
/// The lines of text, without what is not known.
std::vector<std::string> register_lines(const RegisterView& view, const arch::Registers& registers);
/// What the instruction pointer is called.
std::string_view name_of_ip(const RegisterView& view);

}  // namespace kvista::cli
