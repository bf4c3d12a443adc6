// The headers of a kdump-compressed file: disk_dump_header and kdump_sub_header, as makedumpfile, QEMU and
// libvirt write them. Nothing in them says their word size, byte order or alignment.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "base/file.h"
#include "codec/codec.h"

namespace kvista::image {

/// Bits of KdumpHeader::status.
inline constexpr uint32_t kKdumpIncomplete = 0x8;        ///< the writer ran out of room
inline constexpr uint32_t kKdumpExcludedVmemmap = 0x10;  ///< struct pages of excluded pages are left out

/// A run of bytes in the file; none where `size` is 0.
struct FilePart {
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct KdumpHeader {
  ByteOrder byte_order = ByteOrder::little;
  unsigned word_size = 8;
  std::string signature;
  uint32_t version = 0;
  std::array<std::string, 6> utsname;  ///< sysname, nodename, release, version, machine, domain
  uint64_t seconds = 0;                ///< when the dump was taken
  uint64_t microseconds = 0;
  uint32_t status = 0;
  uint32_t dump_level = 0;         ///< which pages were left out, by the writer's word
  uint32_t block_size = 0;         ///< bytes in a page and in a block of the file
  uint32_t sub_header_blocks = 0;  ///< blocks between the header and the bitmaps
  uint32_t bitmap_blocks = 0;      ///< blocks of both bitmaps
  uint64_t max_mapnr = 0;          ///< page frames that the bitmaps speak of
  uint32_t cpus = 0;               ///< as the writer counted them
  uint64_t phys_base = 0;          ///< by the writer's word; 0 where it gave none
  uint32_t split = 0;              ///< not 0: the file holds the pages of [start, end) only
  Pfn start;
  Pfn end;
  FilePart vmcoreinfo;  ///< its text
  FilePart notes;       ///< ELF notes
  FilePart eraseinfo;   ///< what the writer erased, as text

  const std::string& machine() const { return utsname[4]; }
  /// Bytes of one of the two bitmaps.
  uint64_t bitmap_size() const { return uint64_t{bitmap_blocks / 2} * block_size; }
  uint64_t bitmaps_at() const { return (uint64_t{1} + sub_header_blocks) * block_size; }
  /// Where the page descriptors begin.
  uint64_t descriptors_at() const { return bitmaps_at() + uint64_t{bitmap_blocks} * block_size; }
};

/// Whether `head`, the first bytes of a file, begin a kdump-compressed file.
bool looks_like_kdump(std::span<const std::byte> head);

/// Reads the headers. Throws FormatError where they make no sense or do not fit the file, Unsupported for a
/// version that is newer than what is known.
KdumpHeader read_kdump_header(const File& file);

/// Bytes of a page descriptor (struct page_desc).
inline constexpr uint64_t kKdumpDescriptorSize = 24;
/// The bit that says, in the header and in a page's descriptor, what pages are compressed with; 0 for a codec
/// that the format does not know.
uint32_t kdump_flag_of(codec::Codec codec);
/// The codec of a descriptor's flags, or nothing.
std::optional<codec::Codec> codec_of_kdump_flags(uint32_t flags);
/// Where the notes of a dump stand that this code writes: behind the sub header.
uint64_t kdump_notes_at(const KdumpHeader& header);
/// The header, and a block behind it the sub header, in the header's own byte order and word size.
std::vector<std::byte> kdump_header_bytes(const KdumpHeader& header);

/// e_machine for the machine's name in utsname; 0 for one that is not known.
uint16_t elf_machine_of(const std::string& machine);

}  // namespace kvista::image
