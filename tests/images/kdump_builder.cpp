#include "images/kdump_builder.h"

#include <algorithm>

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

void put_at(Bytes& file, uint64_t at, const Bytes& bytes) {
  file.resize(std::max<uint64_t>(file.size(), at + bytes.size()));
  std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<ptrdiff_t>(at));
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
  out.u32(0);
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

}  // namespace

uint64_t kdump_descriptors_at(const KdumpDescription& kdump) {
  return (1 + sub_header_blocks(kdump) + 2 * bitmap_blocks(kdump)) * kdump.block_size;
}

std::vector<std::byte> kdump_bytes(const KdumpDescription& kdump) {
  const uint64_t bitmaps_at = (1 + sub_header_blocks(kdump)) * kdump.block_size;
  const uint64_t bitmap_size = bitmap_blocks(kdump) * kdump.block_size;
  Bytes file(kdump_descriptors_at(kdump));
  put_at(file, 0, header(kdump));
  put_at(file, kdump.block_size, sub_header(kdump));
  put_at(file, notes_at(kdump), Notes(kdump).bytes);
  std::vector<uint64_t> pages;
  for (const uint64_t pfn : kdump.memory) {
    const auto bit = static_cast<std::byte>(1U << pfn % 8);
    file.at(bitmaps_at + pfn / 8) |= bit;
    if (kdump.excluded.contains(pfn)) continue;
    file.at(bitmaps_at + bitmap_size + pfn / 8) |= bit;
    if (!kdump.split || (pfn >= kdump.split->first && pfn < kdump.split->second)) pages.push_back(pfn);
  }
  ByteWriter descriptors(kdump.byte_order);
  Bytes data(kdump.block_size);  // the page of zeros that all such pages share
  const uint64_t data_at = file.size() + pages.size() * 24;
  for (size_t i = 0; i < pages.size(); ++i) {
    if (i >= kdump.pages_written.value_or(pages.size())) {
      descriptors.zeros(24);
      continue;
    }
    const Bytes page = kdump.page(pages[i]);
    const bool zero = std::all_of(page.begin(), page.end(), [](std::byte b) { return b == std::byte{0}; });
    const bool packs = !kdump.codecs.empty() && !zero;
    const codec::Codec codec = packs ? kdump.codecs[i % kdump.codecs.size()] : codec::Codec::zlib;
    Bytes packed = packs ? compress(codec, page) : page;
    const bool smaller = packed.size() < page.size();
    if (!smaller) packed = page;
    descriptors.u64(zero ? data_at : data_at + data.size());
    descriptors.u32(static_cast<uint32_t>(packed.size()));
    descriptors.u32(smaller ? flag_of(codec) : 0);
    descriptors.u64(0);
    if (!zero) data.insert(data.end(), packed.begin(), packed.end());
  }
  put_at(file, file.size(), descriptors.take());
  put_at(file, data_at, data);
  return file;
}

}  // namespace kvista::test
