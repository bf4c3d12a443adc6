#include "images/kdump_builder.h"

#include <algorithm>
#include <utility>

#include "images/byte_writer.h"
#include "images/compress.h"

namespace kvista::test {
namespace {

using Bytes = std::vector<std::byte>;

uint64_t bitmap_blocks(const KdumpDescription& kdump) {
  const uint64_t bits = uint64_t{kdump.block_size} * 8;
  return (kdump.max_mapnr + bits - 1) / bits;
}

uint32_t flag_of(codec::Codec codec) {
  switch (codec) {
    case codec::Codec::gzip:  // no dump has it
      break;
    case codec::Codec::zlib:
      return 0x1;
    case codec::Codec::lzo:
      return 0x2;
    case codec::Codec::snappy:
      return 0x4;
    case codec::Codec::zstd:
      return 0x20;
  }
  return 0;
}

// What follows the sub header's fields, a block behind them.
struct Notes {
  explicit Notes(const KdumpDescription& kdump) {
    std::vector<ElfNote> notes;
    if (kdump.version >= 4) notes = kdump.notes;
    const Bytes text = bytes_of(kdump.vmcoreinfo);
    if (kdump.version >= 3 && !text.empty()) notes.push_back({"VMCOREINFO", 0, text});
    bytes = note_bytes(notes, kdump.byte_order);
    // The last note's descriptor is at the end, but for its padding to 4 bytes.
    if (kdump.version >= 3 && !text.empty()) vmcoreinfo_at = bytes.size() - (text.size() + 3) / 4 * 4;
  }
  Bytes bytes;
  uint64_t vmcoreinfo_at = 0;
};

uint64_t notes_at(const KdumpDescription& kdump) {
  return uint64_t{2} * kdump.block_size;
}

// One for what has fixed places, one and more for notes.
uint64_t sub_header_blocks(const KdumpDescription& kdump) {
  const uint64_t size = std::max<uint64_t>(Notes(kdump).bytes.size(), 1);
  return 1 + (size + kdump.block_size - 1) / kdump.block_size;
}

Bytes header(const KdumpDescription& kdump) {
  ByteWriter out(kdump.byte_order, kdump.word_size);
  out.text(kdump.signature);
  out.u32(kdump.version);
  for (const std::string& field : {std::string("Linux"), std::string("host"), std::string("6.12.0-test"),
                                   std::string("#1"), kdump.machine, std::string("(none)")}) {
    out.text(field);
    out.zeros(65 - field.size());
  }
  out.align(kdump.word_size);
  out.word(kdump.seconds);
  out.word(0);
  out.u32(kdump.codecs.empty() ? kdump.status : kdump.status | flag_of(kdump.codecs.front()));
  out.u32(kdump.block_size);
  out.u32(static_cast<uint32_t>(sub_header_blocks(kdump)));
  out.u32(static_cast<uint32_t>(2 * bitmap_blocks(kdump)));
  out.u32(static_cast<uint32_t>(kdump.max_mapnr));
  out.zeros(20);
  return out.take();
}

Bytes sub_header(const KdumpDescription& kdump) {
  ByteWriter out(kdump.byte_order, kdump.word_size);
  const auto wide = [&](uint64_t value) {
    out.align(kdump.word_size == 8 ? 8 : kdump.wide_alignment);
    out.u64(value);
  };
  const auto [start, end] = kdump.split.value_or(std::pair<uint64_t, uint64_t>{});
  out.word(0);
  out.u32(kdump.dump_level);
  if (kdump.version >= 2) {
    out.u32(kdump.split ? 1 : 0);
    out.word(start);
    out.word(end);
  }
  const Notes notes(kdump);
  const auto part = [&](uint64_t offset, uint64_t size) {
    wide(size == 0 ? 0 : offset);
    out.word(size);
  };
  if (kdump.version >= 3) part(notes_at(kdump) + notes.vmcoreinfo_at, kdump.vmcoreinfo.size());
  if (kdump.version >= 4) part(notes_at(kdump), notes.bytes.size());
  if (kdump.version >= 5) part(0, 0);
  if (kdump.version >= 6) {
    wide(start);
    wide(end);
    wide(kdump.max_mapnr);
  }
  return out.take();
}

// The first bitmap has memory, the second what the file holds. Returns the frames whose pages this part has.
std::vector<uint64_t> write_bitmaps(const KdumpDescription& kdump, Sink& sink) {
  const uint64_t size = bitmap_blocks(kdump) * kdump.block_size;
  Bytes both(2 * size);
  std::vector<uint64_t> pages;
  for (const uint64_t pfn : kdump.memory) {
    const auto bit = static_cast<std::byte>(1U << pfn % 8);
    both.at(pfn / 8) |= bit;
    if (kdump.excluded.contains(pfn)) continue;
    both.at(size + pfn / 8) |= bit;
    if (!kdump.split || (pfn >= kdump.split->first && pfn < kdump.split->second)) pages.push_back(pfn);
  }
  sink.write((1 + sub_header_blocks(kdump)) * kdump.block_size, both);
  return pages;
}

// A page as the file holds it.
struct Packed {
  Bytes bytes;
  uint32_t flags = 0;
  bool zero = false;
};

// Page `index` of the file: what a codec makes larger is not compressed.
Packed pack(const KdumpDescription& kdump, size_t index, Bytes page) {
  const bool zero = std::all_of(page.begin(), page.end(), [](std::byte b) { return b == std::byte{0}; });
  if (zero || kdump.codecs.empty()) return {std::move(page), 0, zero};
  const codec::Codec codec = kdump.codecs[index % kdump.codecs.size()];
  Bytes packed = compress(codec, page);
  if (packed.size() >= page.size()) return {std::move(page)};
  return {std::move(packed), flag_of(codec)};
}

}  // namespace

uint64_t kdump_descriptors_at(const KdumpDescription& kdump) {
  return (1 + sub_header_blocks(kdump) + 2 * bitmap_blocks(kdump)) * kdump.block_size;
}

void write_kdump(const KdumpDescription& kdump, Sink& sink) {
  const std::vector<uint64_t> pages = write_bitmaps(kdump, sink);
  sink.write(0, header(kdump));
  sink.write(kdump.block_size, sub_header(kdump));
  sink.write(notes_at(kdump), Notes(kdump).bytes);
  const uint64_t descriptors_at = kdump_descriptors_at(kdump);
  const uint64_t data_at = descriptors_at + pages.size() * 24;
  sink.write(data_at, Bytes(kdump.block_size));  // the page of zeros that all such pages share
  uint64_t end = data_at + kdump.block_size;
  ByteWriter descriptors(kdump.byte_order);
  for (size_t i = 0; i < pages.size(); ++i) {
    if (i >= kdump.pages_written.value_or(pages.size())) {
      descriptors.zeros(24);
      continue;
    }
    const Packed page = pack(kdump, i, kdump.page(pages[i]));
    descriptors.u64(page.zero ? data_at : end);
    descriptors.u32(static_cast<uint32_t>(page.bytes.size()));
    descriptors.u32(page.flags);
    descriptors.u64(0);
    if (page.zero) continue;
    sink.write(end, page.bytes);
    end += page.bytes.size();
  }
  sink.write(descriptors_at, descriptors.take());
}

std::vector<std::byte> kdump_bytes(const KdumpDescription& kdump) {
  MemorySink sink;
  write_kdump(kdump, sink);
  return sink.take();
}

}  // namespace kvista::test
