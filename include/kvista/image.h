// What an image says of itself, and what became of a page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "kvista/byte_order.h"
#include "kvista/export.h"

namespace kvista::image {

/// What an image says about itself before any kernel knowledge.
struct Traits {
  std::string path;
  std::string format;                        ///< "ELF core", "/proc/kcore" ...
  ByteOrder byte_order = ByteOrder::little;  ///< of the image's headers
  unsigned word_size = 8;                    ///< 4 or 8
  uint16_t elf_machine = 0;                  ///< e_machine; 0 where the format has none
  bool live = false;                         ///< the memory changes while it is read
  std::optional<unsigned> dump_level =
      {};                         ///< which pages the writer says that it left out (makedumpfile -d)
  bool lacks_memory_map = false;  ///< the memory map of those pages, too (makedumpfile -e)
};

/// A page has a state, not only bytes. A missing page is never zeros.
enum class PageState {
  present,      ///< the bytes are there
  zero_elided,  ///< known to be zeros, and left out of the file for that
  excluded,     ///< left out by whoever wrote the dump
  absent,       ///< a segment's tail beyond its file size: excluded or zero, unknown which
  lost,         ///< the file should hold it and is cut short
  unreadable,   ///< reading it failed
  beyond,       ///< no part of the image covers this address
};
inline constexpr size_t kPageStateCount = 7;

/// A page state in words for a message: "excluded", "beyond the image" ...
KVISTA_API const char* describe(PageState state);

/// Outcome of a read: the first `done` bytes are good; where that is not all, `state` says why the next is
/// not.
struct ReadResult {
  size_t done = 0;
  PageState state = PageState::present;
};

}  // namespace kvista::image
