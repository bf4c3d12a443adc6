// The compressed names of a kernel's symbol table (scripts/kallsyms.c), passed over block by block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "base/reader.h"

namespace kvista::decode {

/// The names in table order. Each 256th has a marker, its offset (kallsyms_markers, right behind the names
/// and before the token table); so a damaged or missing block is noticed, and does not shift the names behind
/// it.
class KallsymsNames {
 public:
  /// `count` names at `names`; looks for the markers before `token_table`, and does without where they are
  /// not.
  KallsymsNames(const VirtReader& read, VirtAddr names, VirtAddr token_table, size_t count, ByteOrder order,
                unsigned word_size);

  /// Calls `visit` with the number and the tokens of each name. Blocks that do not fit their markers are
  /// passed over; returns how many names these hold. Throws FormatError where there are no markers and the
  /// names end early; what came before has been visited by then.
  size_t for_each(const VirtReader& read,
                  const std::function<void(size_t, std::span<const std::byte>)>& visit) const;
  /// The tokens of one name, by the marker before it; nothing where it is damaged or there are no markers.
  std::optional<std::vector<std::byte>> at(const VirtReader& read, size_t index) const;
  bool has_markers() const { return !blocks_.empty(); }

 private:
  bool find_markers(const VirtReader& read, VirtAddr at, unsigned width, ByteOrder order);
  size_t for_each_block(const VirtReader& read,
                        const std::function<void(size_t, std::span<const std::byte>)>& visit) const;

  VirtAddr names_;
  size_t count_;
  unsigned word_size_;
  std::vector<uint64_t> blocks_;  ///< where each block of 256 names starts, and the end; empty: unknown
};

}  // namespace kvista::decode
