// The search for VMCOREINFO in memory, for images that carry none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "image/memory_image.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::vmcoreinfo {

/// A text of VMCOREINFO in memory. It need not be that of the kernel whose memory this is: guests, files in
/// the page cache and kernels before kexec leave theirs.
struct FoundNote {
  PhysAddr address;                          ///< of the note's header, or of the text where it has none
  bool has_header = false;                   ///< an ELF note, as the kernel keeps one beside the text
  ByteOrder byte_order = ByteOrder::little;  ///< of the header
  uint64_t missing = 0;  ///< bytes of the text that the header names and that are not there
  VmcoreInfo info;
};

/// What a search gave.
struct Scan {
  std::vector<FoundNote> notes;  ///< by address
  bool complete = true;          ///< false: there was more like a note than is looked at
  uint64_t unreadable = 0;       ///< pages that the image should hold, and that are damaged
};

/// The note whose header is at `address`. Nothing where none is.
std::optional<FoundNote> note_at(const image::MemoryImage& image, PhysAddr address);

/// Looks through all memory that `image` holds, once, from up to `threads` threads (0: as many as there are
/// processors). Taken for VMCOREINFO is what begins with OSRELEASE= at a multiple of four bytes, and also
/// names PAGESIZE or a symbol.
Scan scan(const image::MemoryImage& image, unsigned threads = 0);

}  // namespace kvista::vmcoreinfo
