// arm64: arch/arm64/include/asm/memory.h, arch/arm64/mm/init.c and arch/arm64/kernel/vmcore_info.c.
#include <fmt/format.h>

#include "images/kernel.h"

namespace kvista::test {
namespace {

constexpr unsigned kShift16K = 14;
constexpr unsigned kShift64K = 16;
constexpr unsigned kMostBitsOfEveryCpu = 48;

// The lowest of the addresses that have so many bits.
uint64_t first(unsigned bits) {
  return 0 - (uint64_t{1} << bits);
}

unsigned actual_bits(const MachineLine& machine) {
  return machine.actual_bits.value_or(machine.va_bits);
}

// VA_BITS_MIN: what a CPU has without 52 bits. With pages of 16 KiB that is a level less (db32cf8e280b, 6.9).
unsigned least_bits(const MachineLine& machine) {
  if (machine.va_bits <= kMostBitsOfEveryCpu) return machine.va_bits;
  return machine.page_shift == kShift16K ? kMostBitsOfEveryCpu - 1 : kMostBitsOfEveryCpu;
}

// With pages of 64 KiB the tables are those of all bits, and a CPU with less starts within the top one
// (TTBR1_BADDR_4852_OFFSET).
TableShape shape(const Description& description) {
  const MachineLine& machine = description.machine;
  return {machine.page_shift, machine.page_shift == kShift64K ? machine.va_bits : actual_bits(machine), 0};
}

// memstart_addr.
uint64_t memory_start(const MachineLine& machine, uint64_t phys_offset) {
  return phys_offset - (first(actual_bits(machine)) - first(machine.va_bits));
}

uint64_t frame_zero(const Description& description, uint64_t memory_map, uint64_t memory_start) {
  const int64_t frames = static_cast<int64_t>(memory_start) >> description.machine.page_shift;
  return memory_map - static_cast<uint64_t>(frames) * description.page_struct_size;
}

// Since 14c127c957c1 (5.4) the direct map is the lower half of addresses.
void place_since_5_4(const Description& description, KernelAddresses& at) {
  const MachineLine& machine = description.machine;
  const uint64_t middle = first(least_bits(machine) - 1);
  at.modules = {middle, middle + 2 * kGiB};
  at.text = at.modules.end + machine.kaslr;
  at.page_offset = first(actual_bits(machine));
  constexpr unsigned kStructPageShift = 6;
  const uint64_t size = (middle - first(machine.va_bits)) >> (machine.page_shift - kStructPageShift);
  at.memory_map = {0 - kGiB - size, 0 - kGiB};
  at.vmalloc = {at.modules.end, at.memory_map.start - 256 * kMiB};
}

void place_before_5_4(const Description& description, KernelAddresses& at) {
  constexpr uint64_t kTextOffset = 0x80000;
  const MachineLine& machine = description.machine;
  at.modules = {first(machine.va_bits), first(machine.va_bits) + 128 * kMiB};
  at.text = at.modules.end + kTextOffset + machine.kaslr;
  at.page_offset = first(machine.va_bits - 1);
  const uint64_t pages = uint64_t{1} << (machine.va_bits - 1 - machine.page_shift);
  at.memory_map = {at.page_offset - pages * description.page_struct_size, at.page_offset};
  at.vmalloc = {at.modules.end, at.memory_map.start - kGiB - uint64_t{64} * 1024};
}

KernelAddresses addresses(const Description& description) {
  const MachineLine& machine = description.machine;
  KernelAddresses at;
  (machine.is_unflipped ? place_before_5_4 : place_since_5_4)(description, at);
  const uint64_t ram = description.ram.front().start;
  // Both are alike within 2 MiB.
  at.image_offset = at.text - (ram + kLoadedInto + at.text % (2 * kMiB));
  at.phys_offset = ram / kGiB * kGiB;
  at.vmemmap = frame_zero(description, at.memory_map.start, memory_start(machine, at.phys_offset));
  at.physmem_bits = machine.va_bits > kMostBitsOfEveryCpu ? 52 : 48;
  // asm/sparsemem.h: 30 before f0b13ee23241 (5.12).
  at.section_bits = machine.is_unflipped ? 30 : machine.page_shift == kShift64K ? 29 : 27;
  return at;
}

// Modules are around the kernel.
uint64_t modules_base(const Kernel& kernel) {
  return kernel.text() - kGiB;
}

std::vector<Variable> variables(const Kernel& kernel) {
  const MachineLine& machine = kernel.description().machine;
  std::vector<Variable> all = {
      {"memstart_addr", memory_start(machine, kernel.addresses().phys_offset)},
      {"max_pfn", kernel.max_pfn()},
      {"__num_online_cpus", kernel.description().cpus, 4},
      {kernel.layout().ranges ? "module_plt_base" : "module_alloc_base", modules_base(kernel)}};
  if (!machine.is_unflipped && !kernel.layout().ranges)
    all.push_back({"vabits_actual", actual_bits(machine)});
  return all;
}

Lines note(const Kernel& kernel) {
  const MachineLine& machine = kernel.description().machine;
  const KernelAddresses& at = kernel.addresses();
  Lines lines = {number("VA_BITS", machine.va_bits)};
  if (kernel.layout().kallsyms) {  // 2369f171d5c5, 6.0 too
    lines.push_back(hex_number("MODULES_VADDR", at.modules.start));
    lines.push_back(hex_number("MODULES_END", at.modules.end));
    if (!kernel.layout().ranges) lines.push_back(hex_number("VMALLOC_START", at.vmalloc.start));
    lines.push_back(hex_number("VMALLOC_END", at.vmalloc.end));
    lines.push_back(hex_number("VMEMMAP_START", at.memory_map.start));
    lines.push_back(hex_number("VMEMMAP_END", at.memory_map.end));
  }
  lines.push_back(hex_number("kimage_voffset", at.image_offset));
  lines.push_back(hex_number("PHYS_OFFSET", memory_start(machine, at.phys_offset)));
  if (kernel.layout().section_bits) lines.push_back(hex_number("TCR_EL1_T1SZ", 64 - actual_bits(machine)));
  lines.emplace_back("KERNELOFFSET", fmt::format("{:x}", machine.kaslr));
  if (kernel.layout().section_bits) lines.push_back(hex_number("KERNELPACMASK", 0));
  return lines;
}

// The struct pages of what the direct map can hold.
std::string memory_map(const Kernel& kernel) {
  const MachineLine& machine = kernel.description().machine;
  const uint64_t size = kernel.description().page_struct_size;
  const uint64_t start = kernel.vmemmap() + (kernel.addresses().phys_offset >> machine.page_shift) * size;
  const uint64_t end = machine.is_unflipped ? 0 : first(least_bits(machine) - 1);
  return range_text({start, start + ((end - kernel.page_offset()) >> machine.page_shift) * size});
}

Facts facts(const Kernel& kernel) {
  const MachineLine& machine = kernel.description().machine;
  return {{"va_bits", fmt::to_string(machine.va_bits)},
          {"va_bits_actual", fmt::to_string(actual_bits(machine))},
          {"kimage_voffset", hex(kernel.addresses().image_offset)},
          {"phys_offset", hex(kernel.addresses().phys_offset)},
          {"vmemmap", memory_map(kernel)},
          {"modules", range_text({modules_base(kernel), modules_base(kernel) + 2 * kGiB})}};
}

}  // namespace

const Architecture kArm64{"arm64",
                          "aarch64",
                          183,
                          "swapper_pg_dir",
                          &kArm64Entries,
                          {{0x40000000, 0x48000000}},
                          shape,
                          addresses,
                          variables,
                          note,
                          facts};

}  // namespace kvista::test
