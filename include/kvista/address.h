// Typed addresses: a physical address, a virtual address and a page frame number never mix by accident.
#pragma once

#include <compare>
#include <cstdint>

namespace kvista {

/// An address of the kind that Tag names. Arithmetic wraps as the machine's does: whoever takes a size from
/// an image checks the sum first.
template <typename Tag>
struct Address {
  uint64_t value = 0;

  friend constexpr auto operator<=>(const Address&, const Address&) = default;
  constexpr Address& operator+=(uint64_t bytes) {
    value += bytes;
    return *this;
  }
};

template <typename Tag>
constexpr Address<Tag> operator+(Address<Tag> address, uint64_t bytes) {
  return {address.value + bytes};
}
template <typename Tag>
constexpr Address<Tag> operator-(Address<Tag> address, uint64_t bytes) {
  return {address.value - bytes};
}
/// Distance in bytes from `from` to `to`.
template <typename Tag>
constexpr uint64_t operator-(Address<Tag> to, Address<Tag> from) {
  return to.value - from.value;
}

/// An address in the machine's physical memory.
using PhysAddr = Address<struct PhysTag>;
/// An address in the kernel's (or a process's) virtual memory.
using VirtAddr = Address<struct VirtTag>;

/// A page frame number: a physical address divided by the page size of the image.
struct Pfn {
  uint64_t value = 0;
  friend constexpr auto operator<=>(const Pfn&, const Pfn&) = default;
};
constexpr Pfn operator+(Pfn pfn, uint64_t frames) {
  return {pfn.value + frames};
}
constexpr uint64_t operator-(Pfn to, Pfn from) {
  return to.value - from.value;
}

/// The frame that holds `address`; `page_shift` is log2 of the image's page size.
constexpr Pfn pfn_of(PhysAddr address, unsigned page_shift) {
  return {address.value >> page_shift};
}
/// The first byte of frame `pfn`.
constexpr PhysAddr phys_of(Pfn pfn, unsigned page_shift) {
  return {pfn.value << page_shift};
}

/// A run of physical memory, [start, start + size).
struct PhysRange {
  PhysAddr start;
  uint64_t size = 0;
  constexpr PhysAddr end() const { return start + size; }
  constexpr bool contains(PhysAddr address) const { return address >= start && address < end(); }
  friend constexpr auto operator<=>(const PhysRange&, const PhysRange&) = default;
};

/// A run of virtual memory, [first, last]: inclusive, because kernel ranges end at the last address.
struct VirtRange {
  VirtAddr first;
  VirtAddr last;
  constexpr bool contains(VirtAddr address) const { return address >= first && address <= last; }
  friend constexpr auto operator<=>(const VirtRange&, const VirtRange&) = default;
};

}  // namespace kvista
