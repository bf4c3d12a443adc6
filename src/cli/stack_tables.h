// The tables of a report of stacks.
#pragma once

#include <vector>

#include "cli/register_table.h"
#include "cli/report.h"

namespace kvista::cli {

/// In their order.
enum class StackTable : uint8_t { stacks, registers, words, inlined, frames };

/// The stacks of a CPU by their names, as descriptions of columns have it.
inline constexpr const char* kCpuStackNames =
    "IRQ, entry, EFI, or an exception's: NMI, DF, DB, MCE, VC; of arm64 overflow, SDEI; of s390x nodat, "
    "restart, "
    "machine check";

/// With registers as one architecture's kernels have them.
std::vector<TableSpec> stack_tables(const RegisterView& view);
/// For the schema: with the registers of all.
std::vector<TableSpec> stack_tables();

}  // namespace kvista::cli
