#include "arch/x86_64/qemu_cpu.h"

#include "base/cursor.h"

namespace kvista::arch::x86_64 {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint64_t kRegisters = 18 * uint64_t{8};  // rax to r15, rip, rflags
constexpr uint64_t kSegmentHead = 16;              // selector, limit, flags, padding; then the base
constexpr uint64_t kSegment = kSegmentHead + 8;
constexpr unsigned kSegmentsBeforeIdt = 9;  // cs, ds, es, fs, gs, ss, ldt, tr, gdt

constexpr uint64_t kPagingEnabled = uint64_t{1} << 31;     // CR0.PG
constexpr uint64_t kPhysicalExtension = uint64_t{1} << 5;  // CR4.PAE
constexpr uint64_t kLinearAddress57 = uint64_t{1} << 12;   // CR4.LA57
constexpr uint64_t kRootMask = 0x000ffffffffff000ULL;
constexpr uint64_t kUserHalf = uint64_t{1} << 12;  // PTI_USER_PGTABLE_BIT of arch/x86/entry/calling.h

}  // namespace

bool QemuCpu::is_paging() const {
  return (cr0 & kPagingEnabled) != 0 && (cr4 & kPhysicalExtension) != 0 && root().value != 0;
}

unsigned QemuCpu::levels() const {
  return (cr4 & kLinearAddress57) != 0 ? 5 : 4;
}

PhysAddr QemuCpu::root() const {
  return PhysAddr{cr3 & kRootMask};
}

PhysAddr QemuCpu::kernel_half() const {
  return PhysAddr{root().value & ~kUserHalf};
}

std::optional<QemuCpu> parse_qemu_cpu(std::span<const std::byte> descriptor) {
  Cursor in(descriptor, ByteOrder::little);
  const uint32_t version = in.u32();
  const uint32_t size = in.u32();
  if (version != kVersion || size < kQemuCpuSize) return std::nullopt;
  in.skip(kRegisters + kSegment * kSegmentsBeforeIdt + kSegmentHead);
  QemuCpu cpu;
  cpu.idt = VirtAddr{in.u64()};
  cpu.cr0 = in.u64();
  in.skip(2 * uint64_t{8});  // cr1, cr2
  cpu.cr3 = in.u64();
  cpu.cr4 = in.u64();
  in.skip(8);  // kernel_gs_base
  return in.ok() ? std::optional(cpu) : std::nullopt;
}

}  // namespace kvista::arch::x86_64
