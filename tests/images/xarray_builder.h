// Writes an xarray as the kernel lays it out (include/linux/xarray.h), for tests.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>
#include <vector>

namespace kvista::test {

/// Where struct xa_node has its members, and what marks a pointer to one: 2 since 4.20, before, of a radix
/// tree's nodes, 1.
struct XarrayLayout {
  uint64_t shift = 0;
  uint64_t slots = 40;
  uint64_t size = 576;
  uint64_t tag = 2;
  unsigned bits = 6;  ///< a node has 1 << bits slots
};

class XarrayBuilder {
 public:
  using Allocate = std::function<uint64_t(uint64_t size)>;  // gives a virtual address, of zeros
  using Put = std::function<void(uint64_t virt, uint64_t value, unsigned size)>;
  XarrayBuilder(XarrayLayout layout, Allocate allocate, Put put)
      : layout_(layout), allocate_(std::move(allocate)), put_(std::move(put)) {}

  /// What the array's head holds. `nodes` are its nodes, the topmost last.
  uint64_t build(const std::map<uint64_t, uint64_t>& entries) {
    nodes.clear();
    if (entries.empty()) return 0;
    const uint64_t last = entries.rbegin()->first;
    if (last == 0) return entries.begin()->second;
    unsigned shift = 0;
    while (shift + layout_.bits < 64 && (last >> (shift + layout_.bits)) != 0) shift += layout_.bits;
    return node(entries, 0, shift);
  }

  std::vector<uint64_t> nodes;  ///< virtual addresses, without marks

 private:
  uint64_t node(const std::map<uint64_t, uint64_t>& entries, uint64_t base, unsigned shift) {
    const uint64_t at = allocate_(layout_.size);
    put_(at + layout_.shift, shift, 1);
    for (uint64_t slot = 0; slot < uint64_t{1} << layout_.bits; ++slot) {
      const uint64_t first = base + (slot << shift);
      if (shift + layout_.bits > 64 && (slot << shift >> shift) != slot) break;
      const uint64_t last = first + ((uint64_t{1} << shift) - 1);
      const auto found = entries.lower_bound(first);
      if (found == entries.end() || found->first > last) continue;
      put_(at + layout_.slots + slot * 8,
           shift == 0 ? found->second : node(entries, first, shift - layout_.bits), 8);
    }
    nodes.push_back(at);
    return at | layout_.tag;
  }

  XarrayLayout layout_;
  Allocate allocate_;
  Put put_;
};

}  // namespace kvista::test
