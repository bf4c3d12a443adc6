#include "images/kdump_builder.h"

#include <algorithm>

#include "images/byte_writer.h"
#include "images/compress.h"

namespace kvista::test {
namespace {

using Bytes = std::vector<std::byte>;

constexpr uint64_t kSubHeaderBlocks = 2;  // one for what has fixed places, one and more for notes

uint64_t bitmap_blocks(const KdumpDescription& kdump) {
  const uint64_t bits = uint64_t{kdump.block_size} * 8;
  return (kdump.max_mapnr + bits - 1) / bits;
}

uint32_t flag_of(std::optional<codec::Codec> codec) {
  if (!codec) return 0;
  switch (*codec) {
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
  out.u32(kdump.status | flag_of(kdump.codec));
  out.u32(kdump.block_size);
  out.u32(kSubHeaderBlocks);
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
  if (kdump.version >= 3) {
    wide(kdump.vmcoreinfo.empty() ? 0 : uint64_t{2} * kdump.block_size);
    out.word(kdump.vmcoreinfo.size());
  }
  for (unsigned version = 4; version <= std::min(kdump.version, 5U); ++version) {
    wide(0);
    out.word(0);
  }
  if (kdump.version >= 6) {
    wide(start);
    wide(end);
    wide(kdump.max_mapnr);
  }
  return out.take();
}

}  // namespace

uint64_t kdump_descriptors_at(const KdumpDescription& kdump) {
  return (1 + kSubHeaderBlocks + 2 * bitmap_blocks(kdump)) * kdump.block_size;
}

std::vector<std::byte> kdump_bytes(const KdumpDescription& kdump) {
  const uint64_t bitmaps_at = (1 + kSubHeaderBlocks) * kdump.block_size;
  const uint64_t bitmap_size = bitmap_blocks(kdump) * kdump.block_size;
  Bytes file(kdump_descriptors_at(kdump));
  put_at(file, 0, header(kdump));
  put_at(file, kdump.block_size, sub_header(kdump));
  const auto note = std::as_bytes(std::span(kdump.vmcoreinfo));
  put_at(file, uint64_t{2} * kdump.block_size, {note.begin(), note.end()});
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
    Bytes packed = kdump.codec && !zero ? compress(*kdump.codec, page) : page;
    const bool smaller = packed.size() < page.size();
    if (!smaller) packed = page;
    descriptors.u64(zero ? data_at : data_at + data.size());
    descriptors.u32(static_cast<uint32_t>(packed.size()));
    descriptors.u32(smaller ? flag_of(kdump.codec) : 0);
    descriptors.u64(0);
    if (!zero) data.insert(data.end(), packed.begin(), packed.end());
  }
  put_at(file, file.size(), descriptors.take());
  put_at(file, data_at, data);
  return file;
}

}  // namespace kvista::test
