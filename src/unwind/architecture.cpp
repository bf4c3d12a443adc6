#include "unwind/architecture.h"

#include <algorithm>
#include <array>

#include "arch/arm64/registers.h"
#include "arch/riscv64/registers.h"
#include "arch/s390x/registers.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/qemu_cpu.h"
#include "arch/x86_64/registers.h"
#include "kernel/session.h"
#include "unwind/arm64/stacks.h"
#include "unwind/riscv64/stacks.h"
#include "unwind/s390x/stacks.h"
#include "unwind/x86_64/stacks.h"

namespace kvista::unwind {
namespace {

constexpr VirtRange kUpperHalf{VirtAddr{uint64_t{1} << 63}, VirtAddr{~uint64_t{0}}};

constexpr VirtRange kEverywhere{VirtAddr{0}, VirtAddr{~uint64_t{0}}};

constexpr bool is_executable_on_x86(uint64_t entry) {
  return (entry >> 63 & 1) == 0;  // _PAGE_NX
}
constexpr bool is_executable_on_arm64(uint64_t entry) {
  return (entry >> 53 & 1) == 0;  // PTE_PXN
}
constexpr bool is_executable_on_riscv64(uint64_t entry) {
  return (entry >> 3 & 1) != 0;  // _PAGE_EXEC
}
constexpr bool is_executable_on_s390x(uint64_t entry) {
  return (entry >> 8 & 1) == 0;  // _PAGE_NOEXEC, which is the same bit in entries above
}

const std::array kRules = {
    StackRules{"x86_64",
               Means::orc,
               {arch::x86_64::kPrStatusSize, x86_64::parse_prstatus},
               {arch::x86_64::kQemuCpuSize, x86_64::parse_qemu_note},
               x86_64::kCpuStacks,
               {arch::x86_64::kKernelMap, arch::x86_64::kModulesLast},
               is_executable_on_x86,
               x86_64::make_follower},
    StackRules{"arm64",
               Means::frame_pointer,
               {arch::arm64::kPrStatusSize, arch::arm64::parse_prstatus},
               {},
               arm64::kCpuStacks,
               kUpperHalf,
               is_executable_on_arm64,
               arm64::make_follower},
    StackRules{"riscv64",
               Means::frame_pointer,
               {arch::riscv64::kPrStatusSize, arch::riscv64::parse_prstatus},
               {},
               riscv64::kCpuStacks,
               kUpperHalf,
               is_executable_on_riscv64,
               riscv64::make_follower},
    StackRules{"s390x",
               Means::frame_pointer,
               {arch::s390x::kPrStatusSize, arch::s390x::parse_prstatus},
               {},
               s390x::kCpuStacks,
               kEverywhere,
               is_executable_on_s390x,
               s390x::make_follower},
};

}  // namespace

const StackRules* stack_rules(std::string_view architecture) {
  const auto* at = std::find_if(kRules.begin(), kRules.end(),
                                [&](const StackRules& one) { return architecture == one.architecture; });
  return at == kRules.end() ? nullptr : at;
}

const StackRules* stack_rules(const kernel::Session& session) {
  return stack_rules(
      session.with_machine([](machine::Machine& machine) { return machine.architecture().name; }));
}

}  // namespace kvista::unwind
