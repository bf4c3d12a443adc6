// The running kernel's files, from files of the same form.
#include "image/live.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/error.h"
#include "base/parallel.h"
#include "unit/bytes.h"
#include "unit/memory_file.h"

namespace kvista::image {
namespace {

using test::Bytes;
using test::data_of;
using test::ElfDescription;
using test::MemoryFile;
using test::pattern;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint64_t kNone = UINT64_MAX;  // how /proc/kcore says that there is no one physical address

// vmalloc and modules without memory of their own, the text mapping, and RAM of which text is a part.
ElfDescription kcore(const Bytes& ram) {
  ElfDescription elf;
  elf.notes = {{"CORE", 1, Bytes(336)}, {"VMCOREINFO", 0, test::bytes_of("PAGESIZE=4096\n")}};
  elf.segments.push_back({.vaddr = 0xffffffff81000000,
                          .paddr = 0x3000,
                          .memory_size = 0x2000,
                          .data = data_of(Bytes(ram.begin() + 0x2000, ram.begin() + 0x4000))});
  elf.segments.push_back({.vaddr = 0xffffc90000000000,
                          .paddr = kNone,
                          .memory_size = uint64_t{1} << 45,
                          .in_file = false,
                          .offset = uint64_t{1} << 46});
  elf.segments.push_back(
      {.vaddr = 0xffff888000001000, .paddr = 0x1000, .memory_size = ram.size(), .data = data_of(ram)});
  elf.segments.push_back({.vaddr = 0xffffea0000000000,
                          .paddr = kNone,
                          .memory_size = 0x10000,
                          .in_file = false,
                          .offset = uint64_t{1} << 47});
  return elf;
}

TEST(Kcore, CountsRamOnceAlthoughTheTextMappingHoldsSomeOfItAgain) {
  const Bytes ram = pattern(0x8000);
  const MemoryFile file(test::elf_bytes(kcore(ram)));
  const auto image = open_kcore(file.path());
  EXPECT_THAT(image->ram(), ElementsAre(PhysRange{PhysAddr{0x1000}, 0x8000}));
  EXPECT_THAT(image->warnings(), IsEmpty());
  EXPECT_TRUE(image->traits().live);
  Bytes out(0x8000);
  const auto result = image->read(PhysAddr{0x1000}, out);
  EXPECT_EQ(result.done, out.size());
  EXPECT_EQ(result.state, PageState::present);
  EXPECT_EQ(out, ram);
}

TEST(Kcore, KeepsSegmentsWithoutPhysicalAddressAsEvidence) {
  const MemoryFile file(test::elf_bytes(kcore(pattern(0x8000))));
  const auto image = open_kcore(file.path());
  ASSERT_EQ(image->segments().size(), 4U);
  EXPECT_EQ(image->segments()[0].paddr, PhysAddr{0x3000});
  EXPECT_EQ(image->segments()[1].paddr, std::nullopt);
  EXPECT_EQ(image->segments()[1].vaddr, VirtAddr{0xffffc90000000000});
  EXPECT_EQ(image->segments()[1].size, uint64_t{1} << 45);
  EXPECT_EQ(image->segments()[3].paddr, std::nullopt);
}

TEST(Kcore, ReadsItsNotes) {
  const MemoryFile file(test::elf_bytes(kcore(pattern(0x8000))));
  const auto image = open_kcore(file.path());
  ASSERT_EQ(image->notes().size(), 2U);
  EXPECT_EQ(image->read_note(image->notes()[1], 4096), test::bytes_of("PAGESIZE=4096\n"));
  EXPECT_EQ(image->read_note(image->notes()[1], 4), test::bytes_of("PAGE"));
}

TEST(Kcore, TellsUnreadableMemoryFromMemoryThatIsNotThere) {
  ElfDescription elf = kcore(pattern(0x8000));
  elf.truncate = test::elf_bytes(elf).size() - 0x1000;
  const MemoryFile file(test::elf_bytes(elf));
  const auto image = open_kcore(file.path());
  Bytes out(0x2000);
  const auto read = image->read(PhysAddr{0x7000}, out);
  EXPECT_EQ(read.done, 0x1000U);
  EXPECT_EQ(read.state, PageState::unreadable);
  EXPECT_EQ(image->read(PhysAddr{0x9000}, out).state, PageState::beyond);
}

TEST(Kcore, IsReadByManyThreadsAtOnce) {
  const Bytes ram = pattern(0x8000);
  const MemoryFile file(test::elf_bytes(kcore(ram)));
  const auto image = open_kcore(file.path());
  std::atomic<int> wrong = 0;
  parallel_for(2000, 8, [&](size_t item, unsigned /*worker*/) {
    Bytes out(0x100);
    const size_t into = item * 16 % (ram.size() - out.size());
    image->read(PhysAddr{0x1000 + into}, out);
    if (!std::equal(out.begin(), out.end(), ram.begin() + static_cast<ptrdiff_t>(into))) ++wrong;
  });
  EXPECT_EQ(wrong, 0);
}

TEST(Kcore, RefusesKernelsThatGiveNoPhysicalAddresses) {
  ElfDescription elf = kcore(pattern(0x8000));
  for (auto& segment : elf.segments) segment.paddr = kNone;
  const MemoryFile none(test::elf_bytes(elf));
  EXPECT_THROW(open_kcore(none.path()), FormatError);
  for (auto& segment : elf.segments) segment.paddr = 0;
  const MemoryFile zeros(test::elf_bytes(elf));
  EXPECT_THROW(open_kcore(zeros.path()), FormatError) << "before 4.11 all were 0";
}

TEST(Kcore, SaysWhyItCannotBeRead) {
  try {
    open_kcore("/nonexistent/kcore");
    FAIL() << "opened a file that is not there";
  } catch (const AccessError& error) {
    EXPECT_THAT(error.what(), HasSubstr("CONFIG_PROC_KCORE"));
  }
}

// --- /dev/mem ---

constexpr std::string_view kIomem =
    "00000000-00000fff : Reserved\n"
    "00001000-00002fff : System RAM\n"
    "00100000-00101fff : System RAM\n"
    "  00100000-001007ff : Kernel code\n"
    "00102000-00103fff : Reserved\n";

TEST(DevMem, ReadsTheRamThatIomemLists) {
  const Bytes memory = pattern(0x104000);
  const MemoryFile file(memory);
  const auto image = open_devmem(file.path(), kIomem);
  EXPECT_TRUE(image->traits().live);
  EXPECT_EQ(image->traits().elf_machine, 0U);
  EXPECT_THAT(image->ram(),
              ElementsAre(PhysRange{PhysAddr{0x1000}, 0x2000}, PhysRange{PhysAddr{0x100000}, 0x2000}));
  Bytes out(0x2000);
  EXPECT_EQ(image->read(PhysAddr{0x100000}, out).done, 0x2000U);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), memory.begin() + 0x100000));
}

TEST(DevMem, StopsWhereRamEnds) {
  const MemoryFile file(pattern(0x104000));
  const auto image = open_devmem(file.path(), kIomem);
  Bytes out(0x1000);
  auto read = image->read(PhysAddr{0x2800}, out);
  EXPECT_EQ(read.done, 0x800U);
  EXPECT_EQ(read.state, PageState::beyond);
  read = image->read(PhysAddr{0x102000}, out);
  EXPECT_EQ(read.done, 0U);
  EXPECT_EQ(read.state, PageState::beyond);
}

TEST(DevMem, SaysThatStrictDevmemKeepsRamFromIt) {
  const MemoryFile file(pattern(0x3000));  // nothing above 1 MiB can be read
  try {
    open_devmem(file.path(), kIomem);
    FAIL() << "opened a device whose RAM cannot be read";
  } catch (const AccessError& error) {
    EXPECT_THAT(error.what(), HasSubstr("STRICT_DEVMEM"));
  }
}

TEST(DevMem, SaysThatIomemHidesItsAddresses) {
  const MemoryFile file(pattern(0x1000));
  for (const char* iomem : {"", "00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n"}) {
    try {
      open_devmem(file.path(), iomem);
      FAIL() << "opened a device without knowing its RAM";
    } catch (const AccessError& error) {
      EXPECT_THAT(error.what(), HasSubstr("only root sees them"));
    }
  }
}

TEST(DevMem, KeepsItsRamSortedAndDisjointWhateverIomemSays) {
  const MemoryFile file(pattern(0x200000));
  const auto image = open_devmem(file.path(),
                                 "00100000-00101fff : System RAM\n"
                                 "00001000-00002fff : System RAM\n"
                                 "00101000-00102fff : System RAM (kmem)\n");
  EXPECT_THAT(image->ram(),
              ElementsAre(PhysRange{PhysAddr{0x1000}, 0x2000}, PhysRange{PhysAddr{0x100000}, 0x3000}));
}

}  // namespace
}  // namespace kvista::image
