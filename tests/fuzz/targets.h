// What is fuzzed: each function takes untrusted bytes through one parser, checks what the parser promises,
// and ends the process with a message where that does not hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"

namespace kvista::fuzz {

using Input = std::span<const std::byte>;

// Each returns whether the input was valid throughout; all seeds are.

/// A file that open_elf() opens, and reads of its memory and notes.
bool elf(Input input);
/// The same for a LiME dump.
bool lime(Input input);
/// An AVML dump: its headers, the chunks of its streams and what they decompress to.
bool avml(Input input);
/// A stand-alone dump of s390x, of either format.
bool s390_dump(Input input);
/// A flattened stream, and the image in it.
bool flattened(Input input);
/// A kdump-compressed file: its headers, bitmaps, descriptors and pages.
bool kdump(Input input);
/// Memory from 0 on, which is searched for notes.
bool note_scan(Input input);
/// The text of a note.
bool vmcoreinfo(Input input);
/// A vmlinux, a System.map or a copy of /proc/kallsyms.
bool symbol_file(Input input);
/// A table of types, as a kernel's or a module's memory holds it.
bool btf(Input input);
/// A kernel configuration, plain or compressed with gzip.
bool config(Input input);
/// The descriptor of QEMU's note of a CPU.
bool qemu_cpu(Input input);
/// The text of an expression, a type, or declarations.
bool expression(Input input);
/// KallsymsInput, then memory from kKallsymsStart on.
bool kallsyms(Input input);
/// PrintkInput, then memory from where the form's shape says.
bool printk(Input input);
/// PageTablesInput, then physical memory from 0 on.
bool page_tables(Input input);
/// The text of /proc/iomem.
bool iomem(Input input);
/// UnwindInput, then memory from kUnwindStart on: an ORC table, and stacks.
bool unwind(Input input);
/// The same without a table, for kernels whose frames lead to each other.
bool frames(Input input);

/// Where the memory of a kallsyms input begins, and the symbol whose address is known.
inline constexpr VirtAddr kKallsymsStart{0xffffffff82000000};
inline constexpr const char* kKnownSymbol = "_stext";

/// The head of a kallsyms input; little-endian, in this order. Offsets are from kKallsymsStart.
struct KallsymsInput {
  enum Flag : uint64_t { big_endian = 1, narrow = 2, has_offsets = 4, has_addresses = 8, has_base = 16 };
  uint64_t flags = 0;
  uint64_t known = 0;
  uint32_t names = 0;
  uint32_t num_syms = 0;
  uint32_t token_table = 0;
  uint32_t token_index = 0;
  uint32_t offsets = 0;
  uint32_t addresses = 0;
  uint32_t relative_base = 0;
  uint32_t unused = 0;
};

/// The head of a log's input; little-endian. Which form, how numbers are written, and the offsets and sizes
/// that the note would name, in the order of the form's layout.
struct PrintkInput {
  enum Flag : uint32_t { big_endian = 1, narrow = 2, latched = 4 };
  enum Form : uint32_t { ring, records, text };
  static constexpr size_t kNumbers = 29;
  uint32_t flags = 0;
  uint32_t form = 0;
  std::array<uint16_t, kNumbers> numbers{};
};

/// The head of a page-table input; little-endian, in this order.
struct PageTablesInput {
  /// `wrap`: physical addresses beyond the end start again at 0, so that every entry leads somewhere.
  /// `arm64`: of the shape that the numbers above choose, of a page size and of bits of address, of a kernel
  /// for all 52 bits where `built_52` is set. `riscv64`: of so many bits of address. `s390x`: of as many
  /// levels as the number above says.
  enum Flag : uint64_t {
    five_levels = 1,
    mask_47 = 2,
    mask_51 = 4,
    wrap = 8,
    arm64 = 16,
    riscv64 = 1024,
    s390x = 1 << 16,
    built_52 = 1 << 19
  };
  static constexpr uint64_t kPageSizeOf = 32, kBitsOf = 128;  ///< what those numbers are multiplied by
  static constexpr uint64_t kLevelsOf = 1 << 17;
  uint64_t flags = 0;
  uint64_t root = 0;
  uint64_t first = 0;  ///< the range whose mappings are taken
  uint64_t last = 0;
  uint64_t probe = 0;  ///< an address that is walked to and read from
};

/// Where the memory of a stack's input begins.
inline constexpr VirtAddr kUnwindStart{0xffffffff81000000};

/// The head of a stack's input; little-endian, in this order.
struct UnwindInput {
  uint32_t format = 0;   ///< of ORC's entries, or of frames, in their order
  uint32_t entries = 0;  ///< so many addresses, then as many entries, are first in memory; of frames: flags
  uint64_t ip = 0;       ///< where it starts
  uint64_t sp = 0;
  uint64_t bp = 0;
  uint64_t middle = 0;  ///< where in memory one stack ends and another begins
};
inline constexpr size_t kUnwindHead = 40;

/// Ends the process where a promise is broken.
void require(bool holds, const char* promise);

}  // namespace kvista::fuzz
