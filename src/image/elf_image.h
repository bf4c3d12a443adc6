// ELF core files as memory: /proc/vmcore, dumps of QEMU and libvirt, makedumpfile -E, copies of /proc/kcore.
#pragma once

#include <memory>

#include "base/file.h"
#include "image/elf_core.h"
#include "image/extent_map.h"
#include "image/memory_image.h"

namespace kvista::image {

/// Opens an ELF core file. Throws FormatError where it is none, or holds no memory by physical address.
std::unique_ptr<MemoryImage> open_elf(File file);

/// Whether all segments are at physical address 0: the core of a process, or /proc/kcore before 4.11.
bool lacks_physical_addresses(const ElfCore& core);

/// The parts of an ELF core that all images made of one share: segments as evidence, extents as places.
struct ElfMemory {
  std::vector<Segment> segments;
  ExtentMap extents;
  std::vector<std::string> warnings;
};

/// Sorts out the PT_LOAD segments. Bytes beyond `size` are marked as lost.
ElfMemory map_segments(const ElfCore& core, uint64_t size);

}  // namespace kvista::image
