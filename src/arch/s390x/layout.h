// The s390x kernel's address space: arch/s390/boot/startup.c (setup_kernel_memory_layout), and what the CPU's
// lowcore and os_info say of it (asm/lowcore.h, asm/os_info.h).
#pragma once

#include <cstdint>

#include "base/address.h"

namespace kvista::arch::s390x {

inline constexpr uint16_t kElfMachine = 22;    // EM_S390
inline constexpr unsigned kPhysicalBits = 53;  ///< of a physical address, at most: arch/s390/Kconfig
/// THREAD_SIZE: what KASLR moves the kernel by, in virtual and in physical memory.
inline constexpr uint64_t kKaslrAlign = uint64_t{16} << 10;
inline constexpr uint64_t kMostImage = uint64_t{128} << 20;
/// TEXT_OFFSET: where the kernel is linked to start.
inline constexpr VirtAddr kLinkedText{0x100000};
/// SECTION_SIZE_BITS of asm/sparsemem.h, for kernels whose note lacks it (before 5.13).
inline constexpr unsigned kSectionSizeBits = 28;

/// Where lowcore has pointers to the note of VMCOREINFO and to os_info. Lowcore is at the start of absolute
/// memory, which is what images hold: what a CPU has there by its prefix is elsewhere in them.
inline constexpr PhysAddr kNotePointer{0xe0c};
inline constexpr PhysAddr kOsInfoPointer{0xe18};

// struct os_info.
inline constexpr uint64_t kOsInfoMagic = 0x4f53494e464f535a;  // "OSINFOSZ"
inline constexpr uint64_t kOsInfoAlign = 4096;
inline constexpr uint64_t kOsInfoMinorAt = 14;        ///< version_minor, of 2 bytes
inline constexpr uint64_t kOsInfoCrashKernelAt = 16;  ///< address and size, of 8 bytes each
inline constexpr uint64_t kOsInfoEntriesAt = 32;
inline constexpr uint64_t kOsInfoEntrySize = 20;  ///< an entry begins with its value, of 8 bytes
/// The first version_minor that has the entries below: 6.10 ("s390/os_info: Store virtual memory layout").
inline constexpr unsigned kOsInfoMinor = 1;

/// Numbers of entries.
enum class OsInfo : unsigned { identity_base = 4, kaslr_offset = 5, kaslr_offset_phys = 6, vmemmap = 7 };

}  // namespace kvista::arch::s390x
