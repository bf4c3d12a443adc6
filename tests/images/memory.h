// Physical memory that a test fills: only pages that were written are kept, the rest is zeros.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string_view>

#include "base/endian.h"

namespace kvista::test {

inline constexpr uint64_t kPage = 4096;

/// [start, end) of physical (or virtual) addresses.
struct Range {
  uint64_t start = 0;
  uint64_t end = 0;
  bool contains(uint64_t address) const { return address >= start && address < end; }
};

/// Takes bytes of memory from `address` on.
using MemoryVisit = std::function<void(uint64_t address, std::span<const std::byte> bytes)>;
/// Hands over the bytes of a range of memory, in order of addresses and never more than a page at once; what
/// it leaves out is zeros.
using MemoryBytes = std::function<void(Range, const MemoryVisit&)>;

enum class Contents {
  zero,
  random,   ///< the same at each run; differs from page to page
  pattern,  ///< each 8 bytes hold their own physical address
};

class PhysicalMemory {
 public:
  /// `order` is that of the words in it.
  explicit PhysicalMemory(ByteOrder order = ByteOrder::little) : order_(order) {}

  ByteOrder order() const { return order_; }
  void write(uint64_t address, std::span<const std::byte> bytes);
  void write(uint64_t address, std::string_view text);
  void put64(uint64_t address, uint64_t value);
  void put32(uint64_t address, uint32_t value);
  void put8(uint64_t address, uint8_t value);
  void read(uint64_t address, std::span<std::byte> out) const;
  uint64_t get64(uint64_t address) const;

  /// Fills whole pages.
  void fill(Range range, Contents contents);
  /// Visits the kept bytes of `range`.
  void for_each(Range range, const MemoryVisit& visit) const;
  /// The same as a function; valid while this object is.
  MemoryBytes bytes() const {
    return [this](Range range, const MemoryVisit& visit) { for_each(range, visit); };
  }

 private:
  using Page = std::array<std::byte, kPage>;
  Page& page(uint64_t number);

  ByteOrder order_;
  std::map<uint64_t, std::unique_ptr<Page>> pages_;
};

}  // namespace kvista::test
