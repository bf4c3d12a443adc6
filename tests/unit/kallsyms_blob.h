// A kernel's symbol table in one piece of memory, and a reader of that memory.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/reader.h"
#include "decode/kallsyms.h"
#include "images/kallsyms_builder.h"
#include "unit/bytes.h"

namespace kvista::test {

struct KallsymsBlob {
  VirtAddr start;
  Bytes bytes;
  decode::KallsymsTables tables;

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
};

/// Encodes `symbols`, and puts all tables one behind the other at `start`.
inline KallsymsBlob build_kallsyms(std::vector<Symbol> symbols, const KallsymsShape& shape,
                                   VirtAddr start = VirtAddr{0xffffffff82000000}) {
  KallsymsBlob blob{start, {}, {}};
  const auto add = [&](const Bytes& table) {
    blob.bytes.resize((blob.bytes.size() + 7) / 8 * 8);
    const VirtAddr at = start + blob.bytes.size();
    blob.bytes.insert(blob.bytes.end(), table.begin(), table.end());
    return at;
  };
  const KallsymsTable table = encode_names(symbols, shape.order);
  blob.tables.num_syms = add(table.num_syms);
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
  blob.tables.token_index = add(table.token_index);
  blob.tables.token_table = add(table.token_table);
  blob.tables.names = add(table.names);  // last, so that cutting the memory cuts the names
  return blob;
}

}  // namespace kvista::test
