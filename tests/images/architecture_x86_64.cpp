#include <fmt/format.h>

#include "images/kernel.h"

namespace kvista::test {
namespace {

constexpr uint64_t kDefaultLoad = 0x2000000;
constexpr uint64_t kModulesEnd = 0xffffffffff000000;
constexpr uint64_t kTiB = uint64_t{1} << 40;

struct Defaults {
  uint64_t page_offset, vmalloc, vmemmap, vmalloc_size;
  unsigned physmem_bits;
};
// As KASLR has put them on real machines.
constexpr Defaults kFiveLevels{0xff38ad6400000000, 0xff70e642c0000000, 0xffa4cb1280000000, 12800 * kTiB, 52};
constexpr Defaults kFourLevels{0xffff8acd40000000, 0xffffb5e740000000, 0xffffed2e80000000, 32 * kTiB, 46};

TableShape shape(const Description& description) {
  return {12, 12 + 9 * description.machine.levels, description.machine.sme_mask};
}

KernelAddresses addresses(const Description& description) {
  const MachineLine& machine = description.machine;
  const Defaults& usual = machine.levels == 5 ? kFiveLevels : kFourLevels;
  KernelAddresses at;
  at.text = kLinkedText + machine.kaslr;
  at.image_offset = kKernelMap - machine.phys_base.value_or(kDefaultLoad + kKernelMap - at.text);
  at.page_offset = machine.page_offset.value_or(usual.page_offset);
  const uint64_t vmalloc = machine.vmalloc.value_or(usual.vmalloc);
  at.vmalloc = {vmalloc, vmalloc + usual.vmalloc_size};
  at.modules = {kKernelMap + machine.image_size, kModulesEnd};
  at.vmemmap = machine.vmemmap.value_or(usual.vmemmap);
  at.physmem_bits = usual.physmem_bits;
  const uint64_t struct_pages = uint64_t{1} << (at.physmem_bits - 12);
  at.memory_map = {at.vmemmap, at.vmemmap + struct_pages * description.page_struct_size};
  return at;
}

std::vector<Variable> variables(const Kernel& kernel) {
  const MachineLine& machine = kernel.description().machine;
  return {{"page_offset_base", kernel.page_offset()},
          {"vmalloc_base", kernel.vmalloc()},
          {"vmemmap_base", kernel.vmemmap()},
          {"max_pfn", kernel.max_pfn()},
          {"sme_me_mask", machine.sme_mask},
          {"__num_online_cpus", kernel.description().cpus, 4},
          {"__pgtable_l5_enabled", machine.levels == 5 ? uint64_t{1} : 0, 4}};
}

// arch/x86/kernel/crash_core_64.c.
Lines note(const Kernel& kernel) {
  const MachineLine& machine = kernel.description().machine;
  Lines lines = {number("phys_base", kernel.phys_base()),
                 {"SYMBOL(init_top_pgt)", fmt::format("{:x}", kernel.symbol("init_top_pgt"))},
                 number("pgtable_l5_enabled", machine.levels == 5 ? 1 : 0),
                 {"SYMBOL(node_data)", fmt::format("{:x}", kernel.symbol("node_data"))},
                 {"LENGTH(node_data)", fmt::to_string(kMaxNodes)},
                 {"KERNELOFFSET", fmt::format("{:x}", machine.kaslr)},
                 number("KERNEL_IMAGE_SIZE", machine.image_size)};
  if (kernel.layout().sme_mask) lines.push_back(number("sme_mask", machine.sme_mask));
  return lines;
}

Facts facts(const Kernel& kernel) {
  return {{"phys_base", hex(kernel.phys_base())}, {"sme_mask", hex(kernel.description().machine.sme_mask)}};
}

}  // namespace

const Architecture kX86{
    "x86_64", "x86_64",  62,        "init_top_pgt", &kX86Entries, {{0x0, 0x9f000}, {0x100000, 0x4000000}},
    shape,    addresses, variables, note,           facts};

}  // namespace kvista::test
