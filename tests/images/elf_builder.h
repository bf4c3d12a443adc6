// Writes ELF core files for tests: either class and byte order, headers anywhere, segments and notes as told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/endian.h"
#include "images/sink.h"

namespace kvista::test {

/// Takes bytes that belong `offset` bytes into something.
using Emit = std::function<void(uint64_t offset, std::span<const std::byte> bytes)>;
/// Hands over a segment's bytes; what it does not hand over is zeros, and a hole in the file.
using SegmentData = std::function<void(const Emit& emit)>;

struct ElfNote {
  std::string name;
  uint32_t type = 0;
  std::vector<std::byte> descriptor;
};

struct ElfSegment {
  uint32_t type = 1;  ///< PT_LOAD
  uint64_t vaddr = 0;
  uint64_t paddr = 0;
  uint64_t memory_size = 0;
  /// What p_filesz says; less than memory_size for a tail that is not in the file. Nothing: memory_size.
  std::optional<uint64_t> file_size = {};
  SegmentData data = {};  ///< none: zeros
  /// False: the header names bytes that the file does not have (/proc/kcore's vmalloc area).
  bool in_file = true;
  /// Where in the file the segment is; nothing: behind what came before.
  std::optional<uint64_t> offset = {};
};

struct ElfDescription {
  unsigned word_size = 8;
  ByteOrder byte_order = ByteOrder::little;
  uint16_t type = 4;      ///< ET_CORE
  uint16_t machine = 62;  ///< EM_X86_64
  std::optional<uint16_t> program_header_size;
  bool headers_last = false;    ///< program headers behind the data
  bool extended_count = false;  ///< PN_XNUM, as for more than 65534 segments
  uint64_t alignment = 4096;    ///< of each segment's bytes in the file
  /// All in one PT_NOTE segment, which stands first.
  std::vector<ElfNote> notes;
  std::vector<ElfSegment> segments;
  /// The file is cut to so many bytes.
  std::optional<uint64_t> truncate;
};

/// Notes one after another, as a PT_NOTE segment and a kdump sub header's area hold them.
std::vector<std::byte> note_bytes(std::span<const ElfNote> notes, ByteOrder order);
/// A segment's data from bytes that are kept.
SegmentData data_of(std::vector<std::byte> bytes);
/// The bytes of `text`, without a NUL.
std::vector<std::byte> bytes_of(std::string_view text);

/// Writes the file, with holes where no data was handed over.
void write_elf(const ElfDescription& elf, Sink& sink);
/// The same in memory, for small files.
std::vector<std::byte> elf_bytes(const ElfDescription& elf);

}  // namespace kvista::test
