#include "arch/x86_64/qemu_cpu.h"

#include "fuzz/targets.h"

namespace kvista::fuzz {

bool qemu_cpu(Input input) {
  using arch::x86_64::kQemuCpuSize;
  const auto cpu = arch::x86_64::parse_qemu_cpu(input);
  require(!cpu || input.size() >= kQemuCpuSize, "a note that is too short says nothing");
  if (!cpu) return false;
  require(cpu->levels() == 4 || cpu->levels() == 5, "there are 4 or 5 levels");
  require(cpu->root().value % 4096 == 0 && cpu->root().value >> 52 == 0, "the root is a page of memory");
  require((cpu->root().value & ~uint64_t{4096}) == cpu->kernel_half().value, "the halves are a pair");
  return cpu->is_paging();
}

}  // namespace kvista::fuzz
