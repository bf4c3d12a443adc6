#include "machine/architecture.h"

#include <fmt/format.h>

#include <algorithm>

#include "arch/arm64/layout.h"
#include "arch/riscv64/layout.h"
#include "arch/s390x/layout.h"
#include "arch/x86_64/layout.h"
#include "machine/arm64/probes.h"
#include "machine/machine.h"
#include "machine/riscv64/probes.h"
#include "machine/s390x/probes.h"
#include "machine/x86_64/probes.h"

namespace kvista::machine {
namespace {

constexpr std::array<std::string_view, 2> kX86Roots = {"init_top_pgt", "swapper_pg_dir"};
constexpr std::array<std::string_view, 2> kX86Keys = {"SYMBOL(init_top_pgt)", "SYMBOL(init_level4_pgt)"};
constexpr std::array<std::string_view, 1> kUsualRoots = {"swapper_pg_dir"};
constexpr std::array<std::string_view, 2> kArm64Keys = {"NUMBER(kimage_voffset)", "NUMBER(PHYS_OFFSET)"};
constexpr std::array<std::string_view, 2> kRiscv64Keys = {"NUMBER(va_kernel_pa_offset)",
                                                          "NUMBER(phys_ram_base)"};
constexpr std::array<std::string_view, 1> kS390xKeys = {"SYMBOL(lowcore_ptr)"};

const std::array kArchitectures = {
    Architecture{"x86_64", "x86_64", arch::x86_64::kElfMachine, ByteOrder::little,
                 arch::x86_64::kPhysicalBits, kX86Keys, arch::x86_64::kPhysicalAlign, FactId::phys_base,
                 arch::x86_64::kPhysicalAlign, x86_64::image_offset, x86_64::noted_phys_base,
                 x86_64::is_of_image, kX86Roots, x86_64::possible_pagings, x86_64::paging,
                 x86_64::kOwnProbes},
    Architecture{"arm64", "aarch64", arch::arm64::kElfMachine, ByteOrder::little, arch::arm64::kPhysicalBits,
                 kArm64Keys, arch::arm64::kKaslrAlign, FactId::kimage_voffset, arch::arm64::kImageAlign,
                 arm64::image_offset, arm64::noted_kimage_voffset, arm64::is_of_image, kUsualRoots,
                 arm64::possible_pagings, arm64::paging, arm64::kOwnProbes},
    Architecture{"riscv64", "riscv64", arch::riscv64::kElfMachine, ByteOrder::little,
                 arch::riscv64::kPhysicalBits, kRiscv64Keys, arch::riscv64::kKaslrAlign,
                 FactId::va_kernel_pa_offset, arch::riscv64::kImageAlign, riscv64::image_offset,
                 riscv64::noted_image_fact, riscv64::is_of_image, kUsualRoots, riscv64::possible_pagings,
                 riscv64::paging, riscv64::kOwnProbes},
    Architecture{"s390x", "s390x", arch::s390x::kElfMachine, ByteOrder::big, arch::s390x::kPhysicalBits,
                 kS390xKeys, arch::s390x::kKaslrAlign, FactId::kimage_voffset, arch::s390x::kKaslrAlign,
                 s390x::image_offset, s390x::noted_kimage_voffset, s390x::is_of_image, kUsualRoots,
                 s390x::possible_pagings, s390x::paging, s390x::kOwnProbes, VirtAddr{0},
                 "KERNELOFFSET and KERNELOFFPHYS", s390x::note_pointer},
};

}  // namespace

std::span<const Architecture> architectures() {
  return kArchitectures;
}

const ArchProbes& probes_of(const Architecture& architecture) {
  static const auto kAll = [] {
    std::array<ArchProbes, kArchitectures.size()> all;
    for (size_t i = 0; i < all.size(); ++i) {
      add_identity_probes(all.at(i));
      add_mapping_probes(all.at(i), kArchitectures.at(i));
      for (const auto add : kArchitectures.at(i).own_probes) add(all.at(i));
      put_documents_last(all.at(i));
    }
    return all;
  }();
  return kAll.at(static_cast<size_t>(&architecture - kArchitectures.data()));
}

const Architecture* architecture_of_elf(uint16_t elf_machine) {
  const auto* at = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                                [&](const Architecture& one) { return one.elf_machine == elf_machine; });
  return at == kArchitectures.end() ? nullptr : at;
}

std::string describe_image_fact(const Architecture& architecture) {
  if (architecture.image_fact_keys != nullptr) return architecture.image_fact_keys;
  return fmt::format("NUMBER({})", info_of(architecture.image_fact).name);
}

bool has_key(const vmcoreinfo::VmcoreInfo& note, std::string_view key) {
  const size_t open = key.find('(');
  const std::string_view name = key.substr(open + 1, key.size() - open - 2);
  return key.starts_with("NUMBER") ? note.number(name).has_value() : note.symbol(name).has_value();
}

const Architecture* architecture_of_note(const vmcoreinfo::VmcoreInfo& note) {
  for (const Architecture& one : kArchitectures)
    for (const std::string_view key : one.note_keys)
      if (has_key(note, key)) return &one;
  return nullptr;
}

}  // namespace kvista::machine
