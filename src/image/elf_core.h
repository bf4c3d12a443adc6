// The headers of an ELF core file of either class and byte order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/endian.h"
#include "base/file.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Program header types that a core file uses.
inline constexpr uint32_t kPtLoad = 1;
inline constexpr uint32_t kPtNote = 4;

/// A bit of e_flags: the writer ran out of room (makedumpfile's DUMP_ELF_INCOMPLETE).
inline constexpr uint32_t kElfIncomplete = 1;

struct ProgramHeader {
  uint32_t type = 0;
  uint64_t offset = 0;
  uint64_t vaddr = 0;
  uint64_t paddr = 0;
  uint64_t file_size = 0;
  uint64_t memory_size = 0;
};

struct ElfCore {
  ByteOrder byte_order = ByteOrder::little;
  unsigned word_size = 8;
  uint16_t machine = 0;
  uint32_t flags = 0;  ///< e_flags
  std::vector<ProgramHeader> program_headers;
  std::vector<Note> notes;
  std::vector<std::string> warnings;
};

/// Whether `head`, the first bytes of a file, begin an ELF file.
bool looks_like_elf(std::span<const std::byte> head);

/// Reads the ELF header, the program headers wherever e_phoff says they are (with PN_XNUM: as many as
/// section header 0 says) and the list of notes. Throws FormatError where this is no core file or its
/// headers are cut. `size` bounds what is believed; UINT64_MAX for files of unknown size (/proc/kcore).
ElfCore read_elf_core(const File& file, uint64_t size);

/// The ELF notes in `size` bytes of the file at `offset`, as far as they make sense and are there.
std::vector<Note> read_note_list(const File& file, ByteOrder order, uint64_t offset, uint64_t size);

/// Sizes of the ELF header, and of a program header.
constexpr uint64_t elf_header_size(unsigned word_size) {
  return word_size == 8 ? 64 : 52;
}
constexpr uint64_t program_header_size(unsigned word_size) {
  return word_size == 8 ? 56 : 32;
}
/// The ELF header of a core file with `count` program headers right behind it.
std::vector<std::byte> elf_header_bytes(const ElfCore& core, uint16_t count);
std::vector<std::byte> program_header_bytes(const ProgramHeader& header, ByteOrder order, unsigned word_size);

}  // namespace kvista::image
