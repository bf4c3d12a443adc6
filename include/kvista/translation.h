// Where a virtual address is, or why it is nowhere.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kvista/address.h"
#include "kvista/export.h"
#include "kvista/image.h"

namespace kvista::machine {

/// How a walk ended.
enum class WalkEnd {
  mapped,
  not_mapped,     ///< an empty entry
  prot_none,      ///< the last step's entry maps a page that nobody may access
  swapped,        ///< the last step's entry is a swap entry
  table_missing,  ///< a page table is not in the image
  not_canonical,  ///< no address of this kernel
};
KVISTA_API const char* describe(WalkEnd end);

/// What the page tables say of a virtual address.
struct Translation {
  WalkEnd end = WalkEnd::not_mapped;
  PhysAddr phys;           ///< where the address is; valid for `mapped` and `prot_none`
  uint64_t page_size = 0;  ///< of the page that maps it, in bytes
  PhysAddr missing;        ///< for `table_missing`: the entry that could not be read ...
  image::PageState missing_state = image::PageState::present;  ///< ... and why
};

/// Outcome of a virtual read: the first `done` bytes are good.
struct VirtRead {
  size_t done = 0;
  WalkEnd end = WalkEnd::mapped;                       ///< why it stopped, if it did:
  image::PageState state = image::PageState::present;  ///< for `mapped`: the page's state in the image
};

}  // namespace kvista::machine
