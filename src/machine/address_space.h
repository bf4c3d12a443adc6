// Virtual memory: page-table walks, translation and reads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "arch/paging.h"
#include "base/address.h"
#include "image/memory_image.h"
#include "kvista/translation.h"

namespace kvista::machine {

/// One entry that a walk read.
struct WalkStep {
  unsigned level = 0;
  PhysAddr entry_at;
  uint64_t raw = 0;
  arch::Entry entry;
};

/// A walk with the entries that it read.
struct Walk : Translation {
  std::vector<WalkStep> steps;
};

/// A run of virtual memory that is mapped to a run of physical memory.
struct Mapping {
  VirtAddr virt;
  PhysAddr phys;
  uint64_t size = 0;
};

/// The address space below one root page table. Constant and safe to use from several threads; it keeps no
/// cache, so that whole stretches are best taken through `mappings`.
class AddressSpace {
 public:
  AddressSpace(const image::MemoryImage& image, PhysAddr root, arch::Paging paging)
      : image_(&image), root_(root), paging_(paging) {}

  const arch::Paging& paging() const { return paging_; }
  PhysAddr root() const { return root_; }

  /// The walk to `pointer`, step by step; without the tag or signature that a pointer may carry. Never
  /// throws.
  Walk walk(VirtAddr pointer) const;
  /// What `address` is mapped to, up to the end of its page, or nothing.
  std::optional<Mapping> translate(VirtAddr address) const;
  /// Reads as far as memory is mapped and in the image.
  VirtRead read(VirtAddr address, std::span<std::byte> out) const;

  /// Visits the mapped pages of `range` in order, as large as the page tables map them, until `visit` says
  /// no. Reads each page table once. Throws FormatError where there are more page tables than the image has
  /// pages (a loop). Returns how many page tables were passed over because they are not in the image.
  size_t for_each_page(VirtRange range, const std::function<bool(const Mapping&)>& visit) const;
  /// Visits every page table below the root, and the root: where it is, and its bytes. Throws as
  /// for_each_page().
  void for_each_table(const std::function<void(PhysRange)>& visit) const;
  /// All mapped runs in `range`, joined where they touch in both spaces.
  std::vector<Mapping> mappings(VirtRange range, size_t* missing_tables = nullptr) const;
  /// The first mapped page in `range`, found by descending only where something is mapped.
  std::optional<Mapping> first_mapped(VirtRange range) const;

 private:
  const image::MemoryImage* image_;
  PhysAddr root_;
  arch::Paging paging_;
};

}  // namespace kvista::machine
