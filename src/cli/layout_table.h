// Types as rows: what struct, union, enum and whatis show.
#pragma once

#include "cli/report.h"
#include "kvista/type.h"

namespace kvista::cli {

TableSpec layout_spec();
/// A line that is no part of a layout.
Row plain_row(const std::string& kind, const std::string& text);
/// A struct's, union's or enumeration's members.
void add_layout(const type::Type& found, Table& table);
/// One member of those that were asked for, wherever it is. Throws NotFound.
void add_member(const type::Type& found, const std::string& name, Table& table);

}  // namespace kvista::cli
