// Bad input that no parser sees: images and users that claim what cannot be. Facts of good images:
// tests/matrix.
#include "machine/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/elf_image.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"

namespace kvista::machine {
namespace {

using test::ElfDescription;
using testing::HasSubstr;

constexpr const char* kNote =
    "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff82600000\nSYMBOL(init_top_pgt)="
    "ffffffff82610000\n"
    "SYMBOL(mem_section)=ff33bd9a7fd3e000\nLENGTH(mem_section)=131072\nSIZE(mem_section)=16\nSIZE(page)=64\n"
    "NUMBER(VMALLOC_START)=0xff70e642c0000000\nSYMBOL(vmemmap)=ffa4cb1280000000\nNUMBER(pgtable_l5_enabled)="
    "1\n";

ElfDescription image_with_note() {
  ElfDescription elf;
  elf.notes = {{"VMCOREINFO", 0, test::bytes_of(kNote)}};
  elf.segments.push_back({.paddr = 0x100000, .memory_size = 0x1000});
  return elf;
}

Machine open_machine(const ElfDescription& elf, Options options = {}) {
  options.explain = true;
  return {image::open_elf(test::MemoryFile(test::elf_bytes(elf)).open()), std::move(options)};
}

TEST(Machine, IsNotHeldUpByAnImageThatClaimsAllOfTheAddressSpace) {
  ElfDescription elf = image_with_note();
  elf.segments.push_back({.paddr = 0x200000, .memory_size = UINT64_MAX - 0x200000, .file_size = 0});
  Machine machine = open_machine(elf);
  EXPECT_FALSE(machine.fact(FactId::phys_base).value);
  for (const FactInfo& info : machine.facts()) machine.fact(info.id);
}

TEST(Machine, AnswersWithoutPhysBaseThatMemoryLacks) {
  Machine machine = open_machine(image_with_note());
  try {
    machine.need_number(FactId::phys_base);
    FAIL() << "phys_base came from nowhere";
  } catch (const NotFound& error) {
    EXPECT_THAT(error.what(), HasSubstr("phys_base cannot be established"));
    EXPECT_THAT(error.what(), HasSubstr("VMCOREINFO has no NUMBER(phys_base)"));
  }
}

TEST(Machine, SurvivesAnyNumberThatTheUserSets) {
  for (const FactInfo& info : all_facts()) {
    if (info.form != Form::decimal && info.form != Form::hex) continue;
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{7}, uint64_t{52}, uint64_t{64},
                                 uint64_t{200}, uint64_t{1} << 63, UINT64_MAX}) {
      SCOPED_TRACE(std::string(info.name) + "=" + std::to_string(value));
      Options options;
      options.overrides[info.id] = value;
      Machine machine = open_machine(image_with_note(), options);
      for (const FactInfo& other : machine.facts()) machine.fact(other.id);
      EXPECT_EQ(machine.number(info.id), value) << "the user's word is used";
    }
  }
}

TEST(Machine, SaysThatItsArchitectureIsNotRead) {
  ElfDescription elf = image_with_note();
  for (const auto& [number, name] :
       {std::pair<uint16_t, const char*>{258, "loongarch64"}, {40, "arm"}, {999, "999"}}) {
    elf.machine = number;
    try {
      open_machine(elf);
      FAIL() << "an image of " << name << " was taken for x86_64";
    } catch (const Unsupported& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
      EXPECT_THAT(error.what(), HasSubstr("reads x86_64, arm64, riscv64 and s390x only"));
    }
  }
}

}  // namespace
}  // namespace kvista::machine
