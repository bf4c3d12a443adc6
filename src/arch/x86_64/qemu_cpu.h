// The registers of a CPU as QEMU puts them into a dump: a note "QEMU" for each CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"

namespace kvista::arch::x86_64 {

/// What of QEMU's QEMUCPUState (target/i386/arch_dump.c) tells where page tables are.
struct QemuCpu {
  uint64_t cr0 = 0;
  uint64_t cr3 = 0;
  uint64_t cr4 = 0;
  VirtAddr idt;  ///< base of the interrupt descriptor table

  /// Whether it runs in a mode that has page tables: a CPU that was never started does not.
  bool is_paging() const;
  /// 4 or 5, as CR4.LA57 says.
  unsigned levels() const;
  /// The table that CR3 holds, without the address space's number (PCID).
  PhysAddr root() const;
  /// The kernel's table where root() is the user's half of a pair (page-table isolation).
  PhysAddr kernel_half() const;
};

/// The note's descriptor. Nothing where it is too short, or of a version that is not known.
std::optional<QemuCpu> parse_qemu_cpu(std::span<const std::byte> descriptor);

/// Bytes of a descriptor, at least.
inline constexpr uint64_t kQemuCpuSize = 440;

}  // namespace kvista::arch::x86_64
