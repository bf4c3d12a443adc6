// What an x86_64 kernel's configuration decides: sizes and starts that are fixed when a kernel is built. An
// option decides only where a line says it: newer kernels drop options, which then are always on.
#include <array>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/paging.h"
#include "base/error.h"
#include "machine/x86_64/probes.h"

namespace kvista::machine::x86_64 {
namespace {

namespace x86 = arch::x86_64;

// With 5 levels built in, the CPU decides.
bool has_four_levels_only(const decode::ConfigText& config) {
  return config.number("PGTABLE_LEVELS") == 4;
}
constexpr const char* kFourLevels = "CONFIG_PGTABLE_LEVELS=4";
constexpr const char* kFiveLevels =
    "the configuration allows 5 levels, and does not say whether they are used";

Finding levels_of_config(Machine& machine) {
  if (!has_four_levels_only(config_text(machine))) return unavailable(kFiveLevels);
  return decided(machine, uint64_t{4}, kFourLevels);
}

Finding physmem_bits_of_config(Machine& machine) {
  if (!has_four_levels_only(config_text(machine))) return unavailable(kFiveLevels);
  return decided(machine, uint64_t{x86::documented_layout(4).max_physmem_bits}, kFourLevels);
}

Finding sme_of_config(Machine& machine) {
  if (!config_text(machine).is_off("AMD_MEM_ENCRYPT"))
    return unavailable("the configuration does not say that CONFIG_AMD_MEM_ENCRYPT is not set");
  return decided(machine, uint64_t{0}, "CONFIG_AMD_MEM_ENCRYPT is not set");
}

// KERNEL_IMAGE_SIZE of asm/page_64_types.h; the modules' area follows.
Finding modules_of_config(Machine& machine) {
  const decode::ConfigText& config = config_text(machine);
  const bool randomised = config.is_on("RANDOMIZE_BASE");
  if (!randomised && !config.is_off("RANDOMIZE_BASE")) return unavailable("no line CONFIG_RANDOMIZE_BASE");
  const uint64_t size = randomised ? x86::kImageSizeKaslr : x86::kImageSizePlain;
  return decided(machine, VirtRange{x86::kKernelMap + size, x86::kModulesLast},
                 randomised ? "CONFIG_RANDOMIZE_BASE=y" : "CONFIG_RANDOMIZE_BASE is not set");
}

// The option that fixes where the areas of mm.rst start: RANDOMIZE_MEMORY depends on RANDOMIZE_BASE. Throws
// NotFound where they may be anywhere.
std::string_view fixing_line(Machine& machine) {
  const decode::ConfigText& config = config_text(machine);
  if (config.is_off("RANDOMIZE_MEMORY")) return "CONFIG_RANDOMIZE_MEMORY is not set";
  if (config.is_off("RANDOMIZE_BASE")) return "CONFIG_RANDOMIZE_BASE is not set";
  throw NotFound("the configuration lets KASLR decide (CONFIG_RANDOMIZE_MEMORY)");
}

const x86::DocumentedLayout& layout_of(Machine& machine) {
  return x86::documented_layout(static_cast<unsigned>(machine.need_number(FactId::page_table_levels)));
}

Finding page_offset_of_config(Machine& machine) {
  const auto line = fixing_line(machine);
  return decided(machine, layout_of(machine).page_offset.value, line);
}

Finding vmalloc_of_config(Machine& machine) {
  const auto line = fixing_line(machine);
  const x86::DocumentedLayout& layout = layout_of(machine);
  return decided(machine, VirtRange{layout.vmalloc, layout.vmalloc + (layout.vmalloc_size - 1)}, line);
}

Finding vmemmap_of_config(Machine& machine) {
  const auto line = fixing_line(machine);
  const uint64_t bits = machine.need_number(FactId::max_physmem_bits);
  const uint64_t size = machine.need_number(FactId::struct_page_size);
  constexpr uint64_t kMostPage = 256;
  if (bits < x86::kPageShift || bits > x86::kPhysicalBits || size == 0 || size > kMostPage)
    return unavailable("max_physmem_bits or struct_page_size makes no sense");
  const VirtAddr start = layout_of(machine).vmemmap;
  return decided(machine, VirtRange{start, start + ((size << (bits - x86::kPageShift)) - 1)}, line);
}

}  // namespace

void add_own_config_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::page_table_levels, Source::configuration, true, levels_of_config},
      Probe{FactId::sme_mask, Source::configuration, true, sme_of_config},
      Probe{FactId::page_offset, Source::configuration, true, page_offset_of_config},
      Probe{FactId::vmalloc, Source::configuration, true, vmalloc_of_config},
      Probe{FactId::vmemmap, Source::configuration, true, vmemmap_of_config},
      Probe{FactId::modules, Source::configuration, true, modules_of_config},
      Probe{FactId::max_physmem_bits, Source::configuration, true, physmem_bits_of_config},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
}

}  // namespace kvista::machine::x86_64
