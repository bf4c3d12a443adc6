// Virtual memory: page-table walks, translation and reads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "arch/x86_64/paging.h"
#include "base/address.h"
#include "image/memory_image.h"

namespace kvista::machine {

/// One entry that a walk read.
struct WalkStep {
  unsigned level = 0;
  PhysAddr entry_at;
  uint64_t raw = 0;
  arch::x86_64::Entry entry;
};

/// How a walk ended.
enum class WalkEnd {
  mapped,
  not_mapped,     ///< an empty entry
  prot_none,      ///< the last step's entry maps a page that nobody may access
  swapped,        ///< the last step's entry is a swap entry
  table_missing,  ///< a page table is not in the image
  not_canonical,  ///< no address of this kernel
};
const char* describe(WalkEnd end);

struct Walk {
  std::vector<WalkStep> steps;
  WalkEnd end = WalkEnd::not_mapped;
  PhysAddr phys;           ///< where the address is; valid for `mapped` and `prot_none`
  uint64_t page_size = 0;  ///< of the leaf
  PhysAddr missing;        ///< for `table_missing`: the entry that could not be read ...
  image::PageState missing_state = image::PageState::present;  ///< ... and why
};

/// A run of virtual memory that is mapped to a run of physical memory.
struct Mapping {
  VirtAddr virt;
  PhysAddr phys;
  uint64_t size = 0;
};

/// Outcome of a virtual read: the first `done` bytes are good.
struct VirtRead {
  size_t done = 0;
  WalkEnd end = WalkEnd::mapped;                       ///< why it stopped, if it did:
  image::PageState state = image::PageState::present;  ///< for `mapped`: the page's state in the image
};

/// The address space below one root page table. Constant and safe to use from several threads; it keeps no
/// cache, so that whole stretches are best taken through `mappings`.
class AddressSpace {
 public:
  AddressSpace(const image::MemoryImage& image, PhysAddr root, arch::x86_64::Paging paging)
      : image_(&image), root_(root), paging_(paging) {}

  const arch::x86_64::Paging& paging() const { return paging_; }
  PhysAddr root() const { return root_; }

  /// The walk to `address`, step by step. Never throws.
  Walk walk(VirtAddr address) const;
  /// What `address` is mapped to, up to the end of its page, or nothing.
  std::optional<Mapping> translate(VirtAddr address) const;
  /// Reads as far as memory is mapped and in the image.
  VirtRead read(VirtAddr address, std::span<std::byte> out) const;

  /// Visits the mapped pages of `range` in order, as large as the page tables map them, until `visit` says
  /// no. Reads each page table once. Throws FormatError where there are more page tables than the image has
  /// pages (a loop). Returns how many page tables were passed over because they are not in the image.
  size_t for_each_page(VirtRange range, const std::function<bool(const Mapping&)>& visit) const;
  /// All mapped runs in `range`, joined where they touch in both spaces.
  std::vector<Mapping> mappings(VirtRange range, size_t* missing_tables = nullptr) const;
  /// The first mapped page in `range`, found by descending only where something is mapped.
  std::optional<Mapping> first_mapped(VirtRange range) const;

 private:
  const image::MemoryImage* image_;
  PhysAddr root_;
  arch::x86_64::Paging paging_;
};

}  // namespace kvista::machine
