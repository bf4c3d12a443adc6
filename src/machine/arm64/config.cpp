// What an arm64 kernel's configuration decides.
#include <fmt/format.h>

#include <array>

#include "machine/arm64/probes.h"

namespace kvista::machine::arm64 {
namespace {

Finding va_bits_of_config(Machine& machine) {
  const auto bits = config_text(machine).number("ARM64_VA_BITS");
  if (!bits) return unavailable("no line CONFIG_ARM64_VA_BITS");
  return decided(machine, *bits, fmt::format("CONFIG_ARM64_VA_BITS={}", *bits));
}

// Where the kernel was built for 52 bits, the CPU decides.
Finding levels_of_config(Machine& machine) {
  const decode::ConfigText& config = config_text(machine);
  const auto levels = config.number("PGTABLE_LEVELS");
  if (!levels) return unavailable("no line CONFIG_PGTABLE_LEVELS");
  if (config.is_on("ARM64_VA_BITS_52"))
    return unavailable("the configuration allows 52 bits, and does not say whether the CPU has them");
  return decided(machine, *levels, fmt::format("CONFIG_PGTABLE_LEVELS={}", *levels));
}

}  // namespace

void add_own_config_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::va_bits, Source::configuration, true, va_bits_of_config},
      Probe{FactId::page_table_levels, Source::configuration, true, levels_of_config},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
}

}  // namespace kvista::machine::arm64
