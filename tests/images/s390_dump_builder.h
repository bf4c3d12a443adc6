// Stand-alone dumps of s390x, as zipl's dump tools write them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvista::test {

/// A segment of the extended format, or all memory of the other (which starts at 0).
struct S390Segment {
  uint64_t start = 0;
  std::vector<std::byte> bytes;
  uint32_t blocks_on_disk = 0;  ///< not 0: compressed
};

struct S390Dump {
  bool is_extended = false;
  std::vector<S390Segment> segments;
  uint32_t arch = 2;
  uint8_t volumes = 0;
  bool has_end = true;
};

std::vector<std::byte> s390_dump_bytes(const S390Dump& dump);

}  // namespace kvista::test
