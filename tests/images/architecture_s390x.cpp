// s390x: arch/s390/boot/startup.c (setup_kernel_memory_layout), arch/s390/kernel/machine_kexec.c
// (arch_crash_save_vmcoreinfo), asm/lowcore.h and asm/os_info.h.
#include <fmt/format.h>

#include <algorithm>

#include "images/kernel.h"

namespace kvista::test {
namespace {

constexpr uint64_t kTextOffset = 0x100000;  // TEXT_OFFSET: where the kernel is linked to start
constexpr uint64_t kAreas = 512 * kGiB;     // VMALLOC_DEFAULT_SIZE and MODULES_LEN together
constexpr uint64_t kModules = 512 * kMiB;
constexpr uint64_t kImageRoom = 512 * kMiB;  // behind CONFIG_KERNEL_IMAGE_BASE
constexpr unsigned kSectionBits = 28;
constexpr uint64_t kSectionPages = (uint64_t{1} << kSectionBits) / kPage;
constexpr unsigned kLevelBits = 11;

uint64_t round_down(uint64_t value, uint64_t unit) {
  return value / unit * unit;
}
uint64_t round_up(uint64_t value, uint64_t unit) {
  return round_down(value + unit - 1, unit);
}

// Page tables have 256 entries, those above 2048.
TableShape shape(const Description& description) {
  const unsigned above = description.machine.levels - 1;
  constexpr unsigned kPageTableBits = 8;
  return {12, 12 + kPageTableBits + kLevelBits * above, 0, kPageTableBits, kLevelBits};
}

// The first address behind the kernel's. It has 3 levels, or 4; with 5 it would have no end.
uint64_t space_end(const TableShape& tables) {
  constexpr unsigned kMostBits = 63;
  return uint64_t{1} << std::min(tables.bits, kMostBits);
}

// c98d2ecae08f (6.10) parted virtual from physical addresses. There is no layout between 6.9 and it.
bool is_apart(const KernelLayout& layout) {
  return layout.ranges;
}

void place_memory_map(const Description& description, const TableShape& tables, KernelAddresses& at) {
  const uint64_t size = description.page_struct_size;
  const uint64_t pages = round_up(at.vmalloc.start / (kPage + size), kSectionPages);
  const uint64_t unit = std::max(tables.page_size(tables.levels()), 2 * kMiB);
  at.vmemmap = round_down(at.vmalloc.start - pages * size, unit);
  const uint64_t frames = round_up(description.ram.back().end / kPage, kSectionPages);
  at.memory_map = {at.vmemmap, at.vmemmap + frames * size};
}

// From the end of addresses down: the image, modules, vmalloc, memory map; memory is at their start.
KernelAddresses addresses(const Description& description) {
  const MachineLine& machine = description.machine;
  const TableShape tables = shape(description);
  const uint64_t end = space_end(tables);
  const bool apart = is_apart(*description.layout);
  KernelAddresses at;
  at.page_offset = apart ? machine.page_offset.value_or(0) : 0;
  const uint64_t moved = (apart ? end - kImageRoom : 0) + machine.kaslr;
  at.text = moved + kTextOffset;
  at.image_offset = apart ? at.text - kLoadedInto : 0;
  const uint64_t modules_end = apart ? round_down(moved, kMiB) : end;
  at.modules = {modules_end - std::min(kModules, end / 8), modules_end};
  const uint64_t half = round_down(at.modules.start / 2, kMiB);
  at.vmalloc = {at.modules.start - std::min(kAreas - kModules, half), at.modules.start};
  place_memory_map(description, tables, at);
  at.section_bits = kSectionBits;
  at.physmem_bits = 46;
  return at;
}

// KERNELOFFSET and KERNELOFFPHYS, as since 6.12: how far the image was moved.
uint64_t kernel_offset(const Kernel& kernel) {
  return kernel.text() - kTextOffset;
}
uint64_t kernel_offset_phys(const Kernel& kernel) {
  return kernel.image_phys(kernel.text()) - kTextOffset;
}

std::vector<Variable> variables(const Kernel& kernel) {
  const KernelAddresses& at = kernel.addresses();
  return {{"MODULES_END", at.modules.end},   {"MODULES_VADDR", at.modules.start},
          {"VMALLOC_END", at.vmalloc.end},   {"VMALLOC_START", at.vmalloc.start},
          {"vmemmap", at.vmemmap},           {"vmemmap_size", at.memory_map.end - at.memory_map.start},
          {"lowcore_ptr", kernel.direct(0)}, {"high_memory", kernel.direct(kernel.max_pfn() * kPage)},
          {"max_pfn", kernel.max_pfn()},     {"__num_online_cpus", kernel.description().cpus, 4}};
}

Lines note(const Kernel& kernel) {
  const auto bare = [](uint64_t value) { return fmt::format("{:x}", value); };
  Lines lines = {{"SYMBOL(lowcore_ptr)", bare(kernel.symbol("lowcore_ptr"))},
                 {"SYMBOL(high_memory)", bare(kernel.symbol("high_memory"))},
                 {"LENGTH(lowcore_ptr)", "256"}};
  const bool apart = is_apart(kernel.layout());
  if (apart) lines.emplace_back("IDENTITYBASE", bare(kernel.page_offset()));
  lines.emplace_back("KERNELOFFSET", bare(kernel_offset(kernel)));
  if (apart) lines.emplace_back("KERNELOFFPHYS", bare(kernel_offset_phys(kernel)));
  return lines;
}

Facts facts(const Kernel& kernel) {
  return {{"kimage_voffset", hex(kernel.addresses().image_offset)},
          {"kaslr_offset", hex(kernel_offset(kernel))}};
}

// struct os_info. Its checksum is not written.
uint64_t place_os_info(Kernel& kernel) {
  constexpr uint64_t kMagic = 0x4f53494e464f535a;   // "OSINFOSZ"
  constexpr uint64_t kVersion = uint64_t{1} << 16;  // major, and behind it minor, of two bytes each
  const bool apart = is_apart(kernel.layout());
  const uint64_t at = kernel.image_phys(kernel.place("os_info", kPage, kPage));
  PhysicalMemory& memory = kernel.memory();
  memory.put64(at, kMagic);
  memory.put64(at + 8, kVersion | (apart ? 1 : 0));
  if (const auto& reserved = kernel.description().crashkernel; !reserved.empty()) {
    memory.put64(at + 16, reserved.front().start);
    memory.put64(at + 24, reserved.front().end - reserved.front().start);
  }
  if (!apart) return at;
  constexpr uint64_t kEntries = 32;
  constexpr uint64_t kEntrySize = 20;
  constexpr uint64_t kIdentityBase = 4;  // OS_INFO_IDENTITY_BASE, the first of those that 6.10 added
  const auto values = {kernel.page_offset(), kernel_offset(kernel), kernel_offset_phys(kernel),
                       kernel.vmemmap()};
  uint64_t entry = at + kEntries + kIdentityBase * kEntrySize;
  for (const uint64_t value : values) {
    memory.put64(entry, value);
    entry += kEntrySize;
  }
  return at;
}

// The note's place is there whether or not there is one in memory.
void place_lowcore(Kernel& kernel) {
  constexpr uint64_t kNote = 0xe0c;    // vmcore_info
  constexpr uint64_t kOsInfo = 0xe18;  // os_info
  kernel.memory().put64(kNote, kernel.image_phys(kernel.symbol("vmcoreinfo_note")));
  kernel.memory().put64(kOsInfo, place_os_info(kernel));
}

}  // namespace

const Architecture kS390x{
    "s390x", "s390x", 22, "swapper_pg_dir", &kS390xEntries, {{0x0, 0x10000000}}, shape, addresses, variables,
    note,    facts,   3,  ByteOrder::big,   place_lowcore};

}  // namespace kvista::test
