// The x86_64 kernel's address space: Documentation/arch/x86/x86_64/mm.rst and asm/page_64_types.h.
#pragma once

#include <cstdint>

#include "base/address.h"

namespace kvista::arch::x86_64 {

inline constexpr unsigned kPhysicalBits = 52;  ///< of a physical address, at most
inline constexpr uint64_t kMaxCpus = 8192;     ///< NR_CPUS with CONFIG_MAXSMP (arch/x86/Kconfig)
inline constexpr uint16_t kElfMachine = 62;    // EM_X86_64

/// Where the kernel image is mapped: __START_KERNEL_map.
inline constexpr VirtAddr kKernelMap{0xffffffff80000000};

/// Where the image is linked to start: __START_KERNEL with the default CONFIG_PHYSICAL_START of 16 MiB.
inline constexpr VirtAddr kLinkedText{0xffffffff81000000};
/// CONFIG_PHYSICAL_ALIGN: the kernel is loaded at a multiple of it.
inline constexpr uint64_t kPhysicalAlign = uint64_t{2} << 20;
/// Last address of the modules' area: MODULES_END - 1.
inline constexpr VirtAddr kModulesLast{0xfffffffffeffffff};

/// KERNEL_IMAGE_SIZE, with and without CONFIG_RANDOMIZE_BASE.
inline constexpr uint64_t kImageSizeKaslr = uint64_t{1} << 30;
inline constexpr uint64_t kImageSizePlain = uint64_t{512} << 20;

/// What mm.rst gives for one number of page-table levels. The starts are randomised by KASLR
/// (CONFIG_RANDOMIZE_MEMORY); the sizes are not.
struct DocumentedLayout {
  unsigned levels;
  VirtAddr page_offset;      ///< since 4.20 (d52888aa2753)
  VirtAddr old_page_offset;  ///< before
  uint64_t direct_map_size;  ///< at most
  VirtAddr vmalloc;
  uint64_t vmalloc_size;  ///< VMALLOC_SIZE_TB
  VirtAddr vmemmap;
  unsigned max_physmem_bits;
};

/// The layout for 4 or 5 levels.
const DocumentedLayout& documented_layout(unsigned levels);

/// SECTION_SIZE_BITS of asm/sparsemem.h, for kernels whose note lacks it (before 5.13).
inline constexpr unsigned kSectionSizeBits = 27;

}  // namespace kvista::arch::x86_64
