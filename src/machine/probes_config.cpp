// What a kernel's configuration decides on every architecture.
#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "machine/kernel_config.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

struct ConfiguredArchitecture {
  const char* name;
  const char* option;  ///< only kernels of it have it, of its 64 bits
};
constexpr std::array kArchitectures = {
    ConfiguredArchitecture{"x86_64", "X86_64"}, ConfiguredArchitecture{"arm64", "ARM64"},
    ConfiguredArchitecture{"riscv64", "ARCH_RV64I"}, ConfiguredArchitecture{"s390x", "S390"}};

Finding arch_of_config(Machine& machine) {
  const decode::ConfigText& config = config_text(machine);
  for (const ConfiguredArchitecture& one : kArchitectures)
    if (config.is_on(one.option))
      return decided(machine, std::string(one.name), fmt::format("CONFIG_{}=y", one.option));
  return unavailable("no line says for which architecture it is");
}

Finding page_size_of_config(Machine& machine) {
  constexpr uint64_t kLargestShift = 20;
  // ba89f9c8ccba of 6.9 made it an option; arm64 had one of its own.
  for (const char* option : {"PAGE_SHIFT", "ARM64_PAGE_SHIFT"}) {
    const auto shift = config_text(machine).number(option);
    if (shift && *shift <= kLargestShift)
      return decided(machine, uint64_t{1} << *shift, fmt::format("CONFIG_{}={}", option, *shift));
  }
  return unavailable("no line CONFIG_PAGE_SHIFT (kernels before 6.9)");
}

Finding kaslr_of_config(Machine& machine) {
  if (!config_text(machine).is_off("RANDOMIZE_BASE"))
    return unavailable("the configuration does not say that CONFIG_RANDOMIZE_BASE is not set");
  return decided(machine, uint64_t{0}, "CONFIG_RANDOMIZE_BASE is not set");
}

}  // namespace

const decode::ConfigText& config_text(Machine& machine) {
  const KernelConfig& config = machine.config();
  if (!config.text) throw NotFound(config.failure);
  return *config.text;
}

Finding decided(Machine& machine, FactValue value, std::string_view line) {
  return found(std::move(value), fmt::format("{} ({})", line, machine.config().source));
}

void add_config_probes(ArchProbes& all) {
  static constexpr std::array kProbes = {
      Probe{FactId::arch, Source::configuration, true, arch_of_config},
      Probe{FactId::page_size, Source::configuration, true, page_size_of_config},
      Probe{FactId::kaslr_offset, Source::configuration, true, kaslr_of_config},
  };
  all.probes.insert(all.probes.end(), kProbes.begin(), kProbes.end());
}

}  // namespace kvista::machine
