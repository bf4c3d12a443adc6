// A struct page as a kernel has it for a frame of a class.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "images/kernel.h"

namespace kvista::test {

inline uint64_t bit(unsigned number) {
  return uint64_t{1} << number;
}

/// A page of a block of 1 << order pages.
struct PagePlace {
  uint64_t head = 0;   ///< the block's first frame
  uint64_t into = 0;   ///< which page of the block
  uint64_t flags = 0;  ///< node and zone, as page.flags has them
};
/// Its bytes. Throws DescriptionError.
std::vector<std::byte> struct_page(const Kernel& kernel, const PageRun& run, const PagePlace& place);

}  // namespace kvista::test
