// Facts of a riscv64 kernel, in a small memory made by hand: from every source alone, and where one lies.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "image/elf_image.h"
#include "images/memory.h"
#include "images/page_tables.h"
#include "machine/machine.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"

namespace kvista::machine {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kRam = 0x80000000;
constexpr uint64_t kRamSize = 16 * kMiB;
constexpr uint64_t kLoaded = kRam + 2 * kMiB;  // the firmware is before
constexpr uint64_t kKaslr = 4 * kMiB;
constexpr uint64_t kStart = 0xffffffff80000000 + kKaslr;
constexpr uint64_t kOffset = kStart - kLoaded;
constexpr uint64_t kImageSize = 8 * kMiB;
constexpr uint64_t kUts = kStart + 3 * kMiB;
constexpr uint64_t kRoot = kStart + 4 * kMiB;
constexpr uint64_t kRoots = kRam + 14 * kMiB;  // of mem_section

// A kernel with so many bits of address.
class Kernel {
 public:
  explicit Kernel(uint64_t bits)
      : bits_(bits),
        tables_(memory_, kRoot - kOffset, test::kRiscv64Entries, {12, static_cast<unsigned>(bits)},
                [this] { return end_ += 0x1000; }) {
    for (uint64_t at = 0; at < kImageSize; at += 2 * kMiB) map(kStart + at, kLoaded + at);
    for (uint64_t at = 0; at < kRamSize; at += 2 * kMiB) map(page_offset() + at, kRam + at);
    const std::map<uint64_t, const char*> uts = {
        {0, "Linux"}, {65, "guest"}, {130, "6.12.1"}, {195, "#1"}, {260, "riscv64"}};
    for (const auto& [at, text] : uts) memory_.write(kUts - kOffset + at, text);
    note_ = {{"OSRELEASE", "6.12.1"},
             {"PAGESIZE", "4096"},
             {"SYMBOL(init_uts_ns)", fmt::format("{:x}", kUts)},
             {"SYMBOL(swapper_pg_dir)", fmt::format("{:x}", kRoot)},
             {"SYMBOL(_stext)", fmt::format("{:x}", kStart + 0x2000)},
             {"SYMBOL(mem_section)", fmt::format("{:x}", page_offset() + (kRoots - kRam))},
             {"NUMBER(phys_ram_base)", fmt::format("{}", kRam)},
             {"NUMBER(PAGE_OFFSET)", fmt::format("{:#x}", page_offset())},
             {"NUMBER(VMALLOC_START)", fmt::format("{:#x}", page_offset() - (uint64_t{1} << (bits - 3)))},
             {"NUMBER(VMALLOC_END)", fmt::format("{:#x}", page_offset())},
             {"NUMBER(VA_BITS)", fmt::format("{}", bits)},
             {"NUMBER(MODULES_VADDR)", fmt::format("{:#x}", kStart + kImageSize - (uint64_t{2} << 30))},
             {"NUMBER(MODULES_END)", fmt::format("{:#x}", kStart)},
             {"NUMBER(KERNEL_LINK_ADDR)", "0xffffffff80000000"},
             {"NUMBER(va_kernel_pa_offset)", fmt::format("{:#x}", kOffset)}};
  }

  uint64_t page_offset() const {
    return bits_ == 39 ? 0xffffffd600000000 : bits_ == 48 ? 0xffffaf8000000000 : 0xff60000000000000;
  }
  Kernel& set(const std::string& key, std::string value) {
    note_[key] = std::move(value);
    return *this;
  }
  Kernel& omit(const std::string& key) {
    note_.erase(key);
    return *this;
  }
  Machine open(uint16_t elf_machine = 243, Options options = {}) const {
    std::string text;
    for (const auto& [key, value] : note_) text += key + "=" + value + "\n";
    test::ElfDescription elf;
    elf.machine = elf_machine;
    elf.notes = {{"VMCOREINFO", 0, test::bytes_of(text)}};
    std::vector<std::byte> ram(kRamSize);
    memory_.read(kRam, ram);
    elf.segments.push_back({.paddr = kRam, .memory_size = kRamSize, .data = test::data_of(std::move(ram))});
    options.explain = true;
    return {image::open_elf(test::MemoryFile(test::elf_bytes(elf)).open()), std::move(options)};
  }

 private:
  void map(uint64_t virt, uint64_t phys) {
    constexpr unsigned kTwoMiB = 2;
    tables_.map_page(virt, phys, kTwoMiB);
  }

  uint64_t bits_;
  test::PhysicalMemory memory_;
  uint64_t end_ = kRoot - kOffset;
  test::PageTables tables_;
  std::map<std::string, std::string> note_;
};

// What one source says of a fact.
std::string said_by(Machine& machine, FactId id, Source source) {
  for (const Candidate& one : machine.fact(id).candidates)
    if (one.source == source && one.value) return format(*one.value, info_of(id).form);
  return "nothing";
}

VirtRange range(uint64_t first, uint64_t size) {
  return {VirtAddr{first}, VirtAddr{first + (size - 1)}};
}

TEST(Riscv64Machine, FindsItsFacts) {
  for (const uint64_t bits : {uint64_t{39}, uint64_t{48}, uint64_t{57}}) {
    SCOPED_TRACE(bits);
    const Kernel kernel(bits);
    Machine machine = kernel.open();
    EXPECT_EQ(machine.text(FactId::arch), "riscv64");
    EXPECT_EQ(machine.text(FactId::release), "6.12.1");
    const std::map<FactId, uint64_t> numbers = {{FactId::va_kernel_pa_offset, kOffset},
                                                {FactId::root_page_table, kRoot - kOffset},
                                                {FactId::va_bits_actual, bits},
                                                {FactId::page_table_levels, bits / 9 - 1},
                                                {FactId::page_offset, kernel.page_offset()},
                                                {FactId::phys_offset, kRam},
                                                {FactId::kaslr_offset, kKaslr}};
    for (const auto& [id, value] : numbers) EXPECT_EQ(machine.number(id), value) << info_of(id).name;
    for (const FactId id : {FactId::va_kernel_pa_offset, FactId::root_page_table, FactId::va_bits_actual,
                            FactId::page_offset, FactId::phys_offset})
      EXPECT_TRUE(machine.fact(id).verified) << info_of(id).name;
    EXPECT_EQ(machine.range(FactId::direct_map), range(kernel.page_offset(), kRamSize));
    EXPECT_EQ(machine.range(FactId::vmalloc),
              range(kernel.page_offset() - (uint64_t{1} << (bits - 3)), uint64_t{1} << (bits - 3)));
    EXPECT_EQ(machine.range(FactId::modules)->last, VirtAddr{kStart - 1});
    EXPECT_THAT(machine.warnings(), testing::IsEmpty());
  }
}

TEST(Riscv64Machine, FindsTheImageThatTheNoteDoesNotPlace) {
  for (const uint64_t bits : {uint64_t{39}, uint64_t{57}}) {
    Kernel kernel(bits);
    kernel.omit("NUMBER(va_kernel_pa_offset)").omit("NUMBER(VA_BITS)").omit("NUMBER(PAGE_OFFSET)");
    Machine machine = kernel.open();
    EXPECT_EQ(machine.number(FactId::va_kernel_pa_offset), kOffset);
    EXPECT_EQ(machine.fact(FactId::va_kernel_pa_offset).source, Source::search);
    EXPECT_EQ(machine.number(FactId::va_bits_actual), bits);
    EXPECT_EQ(machine.fact(FactId::va_bits_actual).source, Source::page_tables);
    EXPECT_EQ(machine.number(FactId::page_offset), kernel.page_offset());
    EXPECT_EQ(machine.fact(FactId::page_offset).source, Source::mem_section);
  }
}

TEST(Riscv64Machine, ReadsTheRegisterThatNewerNotesHave) {
  Kernel kernel(48);
  const uint64_t satp = uint64_t{9} << 60 | (kRoot - kOffset) >> 12;
  kernel.omit("NUMBER(VA_BITS)")
      .omit("SYMBOL(swapper_pg_dir)")
      .set("KERNELOFFSET", fmt::format("{:x}", kKaslr));
  Machine machine = kernel.set("NUMBER(satp)", fmt::format("{:#x}", satp)).open();
  EXPECT_EQ(machine.number(FactId::root_page_table), kRoot - kOffset);
  EXPECT_EQ(machine.number(FactId::va_bits_actual), 48U);
  EXPECT_EQ(machine.fact(FactId::va_bits_actual).source, Source::note);
  EXPECT_EQ(machine.number(FactId::kaslr_offset), kKaslr);
}

TEST(Riscv64Machine, BelievesNoLie) {
  struct Lie {
    const char* key;
    const char* value;
    FactId id;
    Source instead;
  };
  for (const Lie& lie :
       {Lie{"NUMBER(VA_BITS)", "57", FactId::va_bits_actual, Source::page_tables},
        Lie{"PAGESIZE", "65536", FactId::page_size, Source::documented},
        Lie{"NUMBER(VA_BITS)", "47", FactId::va_bits_actual, Source::page_tables},
        Lie{"NUMBER(PAGE_OFFSET)", "0xffffaf8000200000", FactId::page_offset, Source::mem_section},
        Lie{"NUMBER(va_kernel_pa_offset)", "0xfffffffeffe00000", FactId::va_kernel_pa_offset,
            Source::search}}) {
    SCOPED_TRACE(fmt::format("{}={}", lie.key, lie.value));
    Machine honest = Kernel(48).open();
    Machine machine = Kernel(48).set(lie.key, lie.value).open();
    EXPECT_EQ(machine.number(lie.id), honest.number(lie.id));
    EXPECT_EQ(machine.fact(lie.id).source, lie.instead);
    EXPECT_FALSE(machine.warnings().empty());
  }
  // Of the two starts memory shows the distance alone.
  Machine machine = Kernel(48).set("NUMBER(phys_ram_base)", "2149580800").open();
  EXPECT_EQ(machine.number(FactId::page_offset).value() - machine.number(FactId::phys_offset).value(),
            Kernel(48).page_offset() - kRam);
  EXPECT_FALSE(machine.warnings().empty());
}

TEST(Riscv64Machine, AsksItsConfiguration) {
  const test::MemoryFile config(
      "# Linux/riscv 6.12.1 Kernel Configuration\n"
      "CONFIG_ARCH_RV64I=y\nCONFIG_PAGE_SHIFT=12\n# CONFIG_RANDOMIZE_BASE is not set\n");
  Options options;
  options.config_file = config.path();
  Machine machine = Kernel(48).open(243, options);
  const std::map<FactId, std::string> said = {{FactId::arch, "riscv64"}, {FactId::page_size, "4096"}};
  for (const auto& [id, value] : said) {
    SCOPED_TRACE(info_of(id).name);
    EXPECT_EQ(said_by(machine, id, Source::configuration), value);
  }
  // It is the configuration that is wrong: this kernel has moved.
  EXPECT_EQ(machine.number(FactId::kaslr_offset), kKaslr);
  EXPECT_EQ(said_by(machine, FactId::kaslr_offset, Source::configuration), "0x0");
  EXPECT_FALSE(machine.warnings().empty());
}

TEST(Riscv64Machine, IsToldByItsNote) {
  EXPECT_EQ(Kernel(39).open(0).text(FactId::arch), "riscv64");
  EXPECT_EQ(Kernel(39).omit("NUMBER(va_kernel_pa_offset)").open(0).text(FactId::arch), "riscv64");
}

}  // namespace
}  // namespace kvista::machine
