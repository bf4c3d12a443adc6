// Reading pieces of the kernel's log that may be missing from the image here and there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "base/reader.h"

namespace kvista::decode {

/// How the image writes numbers.
struct WordFormat {
  ByteOrder order = ByteOrder::little;
  unsigned word_size = 8;  ///< of `unsigned long` and of pointers
};

/// A stretch of virtual memory of which pages may be missing.
class PrintkWindow {
 public:
  /// Reads `size` bytes at `start`, and behind each gap goes on with the next page.
  PrintkWindow(const VirtReader& read, VirtAddr start, size_t size);

  /// The `size` bytes at `offset`; empty where they are not all there.
  std::span<const std::byte> bytes(size_t offset, size_t size) const;
  /// Whether nothing at all could be read.
  bool empty() const { return empty_; }

 private:
  struct Gap {
    size_t begin, end;
  };
  std::vector<std::byte> bytes_;
  std::vector<Gap> gaps_;
  bool empty_ = true;
};

/// The unsigned number of 1, 2, 4 or 8 bytes that `bytes` hold at `offset`; nothing where it does not fit.
std::optional<uint64_t> number_in(std::span<const std::byte> bytes, uint64_t offset, unsigned size,
                                  ByteOrder order);
/// The number at `address`. Throws FormatError, which names `what`, where it cannot be read.
uint64_t read_number(const VirtReader& read, VirtAddr address, unsigned size, ByteOrder order,
                     std::string_view what);
/// Throws FormatError where `size` bytes at `offset` are not within a struct of `within` bytes, or where that
/// is of no size that a struct has. `what` is the member's name.
void require_member(uint64_t offset, uint64_t size, uint64_t within, std::string_view what);

/// Level and flags share a byte: `u8 flags:5; u8 level:3;` in struct printk_log and struct printk_info.
uint8_t level_of(uint8_t byte, ByteOrder order);

}  // namespace kvista::decode
