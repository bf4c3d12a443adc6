// A machine detail with its evidence: its value, the source it was taken from, and what every other source
// said.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kvista/address.h"
#include "kvista/export.h"

namespace kvista::machine {

enum class FactId {
  arch,
  release,
  build_id,
  state,
  crash_time,
  cpus,
  page_size,
  va_bits,
  va_bits_actual,
  page_table_levels,
  root_page_table,
  phys_base,
  kimage_voffset,
  va_kernel_pa_offset,
  kaslr_offset,
  page_offset,
  phys_offset,
  direct_map,
  vmalloc,
  vmemmap,
  modules,
  kernel_image,
  sme_mask,
  kernel_pac_mask,
  struct_page_size,
  section_size_bits,
  max_physmem_bits,
  crashkernel,
};
inline constexpr size_t kFactCount = static_cast<size_t>(FactId::crashkernel) + 1;

/// Physical ranges, possibly none.
using PhysRanges = std::vector<PhysRange>;

/// A fact's value. Numbers are in bytes, bits, or what the fact's name says.
using FactValue = std::variant<uint64_t, std::string, VirtRange, PhysRanges>;

/// How a fact is written for people and read from `--set`.
enum class Form {
  text,
  decimal,
  hex,
  time,         ///< seconds since 1970; 0: none
  virt_range,   ///< "0xFIRST-0xLAST"
  phys_ranges,  ///< "0xFIRST-0xLAST,...", or "none"
};

/// Whom a candidate value comes from. What can be wrong for one reason is one source.
enum class Source {
  user,           ///< --set, --vmcoreinfo FILE for the note's facts
  note,           ///< VMCOREINFO
  kallsyms,       ///< a variable's value, found by the kernel's own symbol table
  proc_kallsyms,  ///< the same, found by /proc/kallsyms
  symbol_file,    ///< the same, found by a file that the user gives
  memory,         ///< a value in memory at an address that the note gives
  mem_section,    ///< the memory map's root, walked through the page tables
  page_tables,
  segments,  ///< the image's program headers
  image,     ///< the image's own kind and headers
  cpu_notes,
  system,         ///< files of the running system: /proc, /sys
  search,         ///< a search through physical memory
  derived,        ///< follows from other facts
  configuration,  ///< options that the kernel was built with
  documented,     ///< constants of the kernel's documentation
};
KVISTA_API const char* describe(Source source);

enum class Verdict {
  chosen,
  agrees,
  disagrees,
  unavailable,
  candidate,  ///< a value that proves nothing
};
KVISTA_API const char* describe(Verdict verdict);

/// What one source said of one fact.
struct Candidate {
  Source source = Source::note;
  std::optional<FactValue> value;
  std::string detail;            ///< where exactly it was found, or why there is none
  bool proves = true;            ///< false: a guess that only agrees or not
  bool forced = false;           ///< --set: used whatever memory says
  std::optional<bool> verified;  ///< of its value, where there is a check
  Verdict verdict = Verdict::unavailable;
};

struct Fact {
  FactId id = FactId::arch;
  std::optional<FactValue> value;
  Source source = Source::note;
  /// Checked against memory, or said by two independent sources.
  bool verified = false;
  std::vector<Candidate> candidates;
};

/// Fixed knowledge about a fact.
struct FactInfo {
  FactId id;
  const char* name;
  Form form;
  const char* description;
};

KVISTA_API const FactInfo& info_of(FactId id);
/// All facts, in the order in which they are shown.
KVISTA_API const std::vector<FactInfo>& all_facts();
/// The fact of that name, or nothing.
KVISTA_API std::optional<FactId> fact_by_name(std::string_view name);

/// The value in the fact's form: "0xff11000000000000", "4096", "2026-11-23T18:19:17Z" ...
KVISTA_API std::string format(const FactValue& value, Form form);
/// Reads what `format` writes. Nothing where it makes no sense.
KVISTA_API std::optional<FactValue> parse(std::string_view text, Form form);

}  // namespace kvista::machine
