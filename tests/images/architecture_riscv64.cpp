// riscv64: arch/riscv/include/asm/pgtable.h and arch/riscv/kernel/vmcore_info.c.
#include <fmt/format.h>

#include "images/kernel.h"

namespace kvista::test {
namespace {

constexpr uint64_t kLinkAddress = 0xffffffff80000000;

TableShape shape(const Description& description) {
  return {12, description.machine.va_bits, 0};
}

uint64_t page_offset(unsigned bits) {
  return bits == 39 ? 0xffffffd600000000 : bits == 48 ? 0xffffaf8000000000 : 0xff60000000000000;
}

KernelAddresses addresses(const Description& description) {
  const MachineLine& machine = description.machine;
  KernelAddresses at;
  at.text = kLinkAddress + machine.kaslr;
  at.phys_offset = description.ram.front().start;
  at.image_offset = at.text - (at.phys_offset + kLoadedInto);
  at.page_offset = page_offset(machine.va_bits);
  at.vmalloc = {at.page_offset - (uint64_t{1} << (machine.va_bits - 3)), at.page_offset};
  constexpr unsigned kStructPageShift = 6;
  at.memory_map = {at.vmalloc.start - (uint64_t{1} << (machine.va_bits - 13 + kStructPageShift)),
                   at.vmalloc.start};
  at.vmemmap = at.memory_map.start - at.phys_offset / kPage * description.page_struct_size;
  at.modules = {at.text + kImageSize - 2 * kGiB, at.text};
  at.physmem_bits = 56;
  return at;
}

// The register: where the top page table is, and the mode, Sv39 to Sv57.
uint64_t mode(const Kernel& kernel) {
  return uint64_t{8 + (kernel.description().machine.va_bits - 39) / 9} << 60;
}

std::vector<Variable> variables(const Kernel& kernel) {
  std::vector<Variable> all = {{"phys_ram_base", kernel.addresses().phys_offset},
                               {"satp_mode", mode(kernel)},
                               {"max_pfn", kernel.max_pfn()},
                               {"__num_online_cpus", kernel.description().cpus, 4}};
  if (kernel.layout().riscv64_satp)
    all.push_back({"vmemmap_start_pfn", kernel.addresses().phys_offset / kPage});
  return all;
}

Lines note(const Kernel& kernel) {
  const KernelAddresses& at = kernel.addresses();
  Lines lines = {number("VA_BITS", kernel.description().machine.va_bits),
                 hex_number("PAGE_OFFSET", at.page_offset), number("phys_ram_base", at.phys_offset)};
  if (!kernel.layout().ranges) lines.push_back(hex_number("VMALLOC_START", at.vmalloc.start));
  lines.push_back(hex_number("VMALLOC_END", at.vmalloc.end));
  lines.push_back(hex_number("VMEMMAP_START", at.memory_map.start));
  lines.push_back(hex_number("VMEMMAP_END", at.memory_map.end));
  lines.push_back(hex_number("MODULES_VADDR", at.modules.start));
  lines.push_back(hex_number("MODULES_END", at.modules.end));
  lines.push_back(hex_number("KERNEL_LINK_ADDR", kLinkAddress));
  lines.push_back(hex_number("va_kernel_pa_offset", at.image_offset));
  if (kernel.layout().riscv64_satp) {
    lines.emplace_back("KERNELOFFSET", fmt::format("{:x}", kernel.description().machine.kaslr));
    lines.push_back(hex_number("satp", mode(kernel) | kernel.root() / kPage));
  }
  return lines;
}

Facts facts(const Kernel& kernel) {
  return {{"va_bits_actual", fmt::to_string(kernel.description().machine.va_bits)},
          {"va_kernel_pa_offset", hex(kernel.addresses().image_offset)},
          {"phys_offset", hex(kernel.addresses().phys_offset)}};
}

}  // namespace

const Architecture kRiscv64{"riscv64",
                            "riscv64",
                            243,
                            "swapper_pg_dir",
                            &kRiscv64Entries,
                            {{0x80000000, 0x88000000}},
                            shape,
                            addresses,
                            variables,
                            note,
                            facts};

}  // namespace kvista::test
