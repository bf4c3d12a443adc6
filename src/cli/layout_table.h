// Types as rows: what struct, union, enum and whatis show.
#pragma once

#include <optional>
#include <string>

#include "base/address.h"
#include "cli/report.h"
#include "kvista/type.h"

namespace kvista::cli {

TableSpec layout_spec();
/// A line that is no part of a layout.
Row plain_row(const std::string& kind, const std::string& text);
/// A struct's, union's or enumeration's members, with the address of each where the type is at one. What
/// cannot be shown is said in the report.
void add_layout(const type::Type& found, Report& report, std::optional<VirtAddr> at = std::nullopt);
/// One member of those that were asked for, wherever it is. Throws NotFound.
void add_member(const type::Type& found, const std::string& name, Table& table,
                std::optional<VirtAddr> at = std::nullopt);

}  // namespace kvista::cli
