// Where the kernel keeps the struct page of each frame: the sparse memory model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "machine/machine.h"

namespace kvista::pages {

/// A memory section that has a memory map: struct pages for `frames()` frames from `first` on.
struct Section {
  Pfn first;
  VirtAddr map;  ///< of the struct page of frame `first`
};

/// The sections of a machine, sorted by frame.
struct MemoryMap {
  unsigned section_shift = 0;  ///< log2 of the frames in a section
  unsigned page_shift = 0;     ///< log2 of the bytes in a page
  uint32_t struct_size = 0;
  std::vector<Section> sections;
  std::vector<std::string> warnings;

  uint64_t frames() const { return uint64_t{1} << section_shift; }
  uint64_t page_size() const { return uint64_t{1} << page_shift; }
  /// The section of a frame, or null.
  const Section* find(Pfn pfn) const;
};

/// log2 of the kernel's page size. Throws an Error where that is not known or makes no sense.
unsigned page_shift_of(machine::Machine& machine);

/// Reads the memory sections that hold RAM of the image. Throws NotFound or Unsupported where there are none.
MemoryMap read_memory_map(machine::Machine& machine);

}  // namespace kvista::pages
