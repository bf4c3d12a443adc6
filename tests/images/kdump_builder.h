// Writes kdump-compressed files for tests: any version, word size, byte order and codec, whole or split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/endian.h"
#include "codec/codec.h"
#include "images/elf_builder.h"
#include "images/sink.h"

namespace kvista::test {

struct KdumpDescription {
  unsigned version = 6;
  std::string signature = "KDUMP   ";
  unsigned word_size = 8;
  /// What 64-bit fields of the sub header are aligned to where words have 4 bytes: 4 as on i386 and with
  /// QEMU, or 8.
  unsigned wide_alignment = 4;
  ByteOrder byte_order = ByteOrder::little;
  std::string machine = "x86_64";
  uint32_t block_size = 4096;
  uint32_t status = 0;
  uint32_t dump_level = 0;
  uint64_t seconds = 1700000000;
  /// Pages are compressed with these in turn; none: they are not compressed.
  std::vector<codec::Codec> codecs = {codec::Codec::zlib};
  uint64_t max_mapnr = 0;
  std::set<uint64_t> memory;    ///< page frames of the first bitmap
  std::set<uint64_t> excluded;  ///< those of them that are not in the second
  /// The bytes of a page.
  std::function<std::vector<std::byte>(uint64_t pfn)> page;
  std::string vmcoreinfo;      ///< its text, from version 3 on; from 4 on it is one of the notes too
  std::vector<ElfNote> notes;  ///< of CPUs; from version 4 on
  /// The page frames [first, second) only, as one file of a split dump.
  std::optional<std::pair<uint64_t, uint64_t>> split;
  /// So many pages are there; the descriptors of the others are zeros.
  std::optional<size_t> pages_written;
};

void write_kdump(const KdumpDescription& kdump, Sink& sink);
/// The same in memory, for small files.
std::vector<std::byte> kdump_bytes(const KdumpDescription& kdump);
/// Where the page descriptors of such a file begin.
uint64_t kdump_descriptors_at(const KdumpDescription& kdump);

}  // namespace kvista::test
