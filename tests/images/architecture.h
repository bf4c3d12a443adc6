// Where kernels of each architecture have things, and how they write that down. It is written down apart from
// src/machine and src/arch, from the kernels' own sources.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/endian.h"
#include "images/page_tables.h"

namespace kvista::test {

struct Description;
class Kernel;

inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;
/// How far into RAM the image is loaded, where RAM does not start at 0.
inline constexpr uint64_t kLoadedInto = 32 * kMiB;

/// Where one kernel has things.
struct KernelAddresses {
  uint64_t text = 0;                   ///< _text
  uint64_t image_offset = 0;           ///< of the image, virtual minus physical
  uint64_t page_offset = 0;            ///< where the direct map starts ...
  uint64_t phys_offset = 0;            ///< ... with this physical address
  Range vmalloc, modules, memory_map;  ///< areas
  uint64_t vmemmap = 0;                ///< the struct page of frame 0, or where that would be
  unsigned section_bits = 27, physmem_bits = 0;
};

/// A variable of the kernel image.
struct Variable {
  std::string_view name;
  uint64_t value = 0;
  unsigned size = 8;
};
using Lines = std::vector<std::pair<std::string, std::string>>;
using Facts = std::map<std::string, std::string>;

struct Architecture {
  std::string_view name;         ///< the fact `arch`
  std::string_view uts_machine;  ///< struct new_utsname's
  uint16_t elf_machine;
  std::string_view root;  ///< the symbol of the top page table
  const EntryFormat* entries;
  std::vector<Range> ram;  ///< where a description names none
  TableShape (*shape)(const Description& description);
  KernelAddresses (*addresses)(const Description& description);
  /// In the order in which they stand in the image.
  std::vector<Variable> (*variables)(const Kernel& kernel);
  /// The lines of VMCOREINFO that others have not.
  Lines (*note)(const Kernel& kernel);
  /// The right values of the facts that others have not, or find elsewhere.
  Facts (*facts)(const Kernel& kernel);
  unsigned levels = 5;  ///< of page tables, where a description can choose and does not
  ByteOrder byte_order = ByteOrder::little;
  /// Writes what only its memory has; null where there is no such thing.
  void (*place_more)(Kernel& kernel) = nullptr;
};
extern const Architecture kX86;
extern const Architecture kArm64;
extern const Architecture kRiscv64;
extern const Architecture kS390x;
std::span<const Architecture* const> all_architectures();

/// A line "NUMBER(name)=0x...".
std::pair<std::string, std::string> hex_number(std::string_view name, uint64_t value);
/// A line "NUMBER(name)=...", a signed decimal.
std::pair<std::string, std::string> number(std::string_view name, uint64_t value);
/// "0x...".
std::string hex(uint64_t value);
/// "0xFIRST-0xLAST".
std::string range_text(const Range& range);

}  // namespace kvista::test
