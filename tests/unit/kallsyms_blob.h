// A kernel's symbol table in one piece of memory, and a reader of that memory.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/reader.h"
#include "decode/kallsyms.h"
#include "images/byte_writer.h"
#include "images/kallsyms_builder.h"
#include "unit/bytes.h"

namespace kvista::test {

struct KallsymsBlob {
  VirtAddr start;
  Bytes bytes;
  decode::KallsymsTables tables;
  VirtAddr markers;

  VirtReader reader() const { return reader_of(start, bytes); }

  /// Reads `memory`, which must outlive the reader, as virtual memory from `start` on.
  static VirtReader reader_of(VirtAddr start, std::span<const std::byte> memory) {
    return [start, memory](VirtAddr at, std::span<std::byte> out) -> size_t {
      if (at < start || at - start >= memory.size()) return 0;
      const auto there = memory.subspan(at - start);
      const size_t size = std::min(there.size(), out.size());
      std::copy_n(there.begin(), size, out.begin());
      return size;
    };
  }
};

struct KallsymsShape {
  SymbolEncoding encoding = SymbolEncoding::base_relative;
  ByteOrder order = ByteOrder::little;
  unsigned word_size = 8;
  uint64_t base = 0xffffffff81000000;  ///< the value of kallsyms_relative_base
  unsigned marker_size = 0;  ///< 0: no markers, and the names last, so that cutting memory cuts them
  bool seqs = false;         ///< kallsyms_seqs_of_names behind the markers (6.2 and 6.3)
};

/// Encodes `symbols`, and puts all tables one behind the other at `start`.
inline KallsymsBlob build_kallsyms(std::vector<Symbol> symbols, const KallsymsShape& shape,
                                   VirtAddr start = VirtAddr{0xffffffff82000000}) {
  KallsymsBlob blob{start, {}, {}, {}};
  const auto add = [&](const Bytes& table) {
    blob.bytes.resize((blob.bytes.size() + 7) / 8 * 8);
    const VirtAddr at = start + blob.bytes.size();
    blob.bytes.insert(blob.bytes.end(), table.begin(), table.end());
    return at;
  };
  const KallsymsTable table = encode_names(symbols, shape.order);
  blob.tables.num_syms = add(table.num_syms);
  if (shape.marker_size != 0) {
    blob.tables.names = add(table.names);
    ByteWriter markers(shape.order, shape.marker_size);
    for (const uint64_t marker : table.markers) markers.word(marker);
    blob.markers = add(markers.take());
    if (shape.seqs) add(Bytes(symbols.size() * 3, std::byte{0x5a}));
    blob.tables.token_table = add(table.token_table);
    blob.tables.token_index = add(table.token_index);
  }
  const bool absolute = shape.encoding == SymbolEncoding::absolute;
  const uint64_t place = start.value + (blob.bytes.size() + 7) / 8 * 8;
  const VirtAddr addresses =
      add(encode_addresses(symbols, shape.encoding, place, shape.base, shape.order, shape.word_size));
  (absolute ? blob.tables.addresses : blob.tables.offsets) = addresses;
  if (!absolute && shape.encoding != SymbolEncoding::place_relative) {
    Bytes base;
    if (shape.word_size == 8)
      put<uint64_t>(base, 0, shape.base, shape.order);
    else
      put<uint32_t>(base, 0, static_cast<uint32_t>(shape.base), shape.order);
    blob.tables.relative_base = add(base);
  }
  if (shape.marker_size != 0) return blob;
  blob.tables.token_index = add(table.token_index);
  blob.tables.token_table = add(table.token_table);
  blob.tables.names = add(table.names);
  return blob;
}

}  // namespace kvista::test
