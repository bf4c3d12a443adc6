#include "image/elf_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "unit/bytes.h"
#include "unit/failure.h"
#include "unit/memory_file.h"

namespace kvista::image {
namespace {

using test::Bytes;
using test::ElfDescription;
using test::MemoryFile;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Where fields of the 64-bit file header are.
constexpr size_t kTypeAt = 16;
constexpr size_t kPhoffAt = 32;
constexpr size_t kShoffAt = 40;
constexpr size_t kEhsizeAt = 52;
constexpr size_t kPhentsizeAt = 54;
constexpr size_t kPhnumAt = 56;
constexpr size_t kHeaderSize = 64;
constexpr size_t kProgramHeaderSize = 56;

ElfDescription small_core() {
  ElfDescription elf;
  elf.alignment = 16;
  elf.notes = {{"CORE", 1, Bytes(20)}, {"VMCOREINFO", 0, test::bytes_of("PAGESIZE=4096\n")}};
  elf.segments.push_back({.vaddr = 0xffff888000001000, .paddr = 0x1000, .memory_size = 0x40});
  elf.segments.push_back(
      {.vaddr = 0xffff888000100000, .paddr = 0x100000, .memory_size = 0x80, .file_size = 0x60});
  return elf;
}

ElfCore read_core(const Bytes& bytes) {
  const MemoryFile memory(bytes);
  return read_elf_core(memory.open(), bytes.size());
}

// The message that reading `bytes` fails with.
std::string failure_of(const Bytes& bytes) {
  return test::failure_of<FormatError>([&] { read_core(bytes); });
}

TEST(ElfCore, ReadsBothClassesInBothByteOrders) {
  for (const unsigned word_size : {4U, 8U}) {
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      ElfDescription elf = small_core();
      elf.word_size = word_size;
      elf.byte_order = order;
      elf.machine = 22;
      if (word_size == 4)
        for (auto& segment : elf.segments) segment.vaddr = 0xc0000000 + segment.paddr;
      const ElfCore core = read_core(test::elf_bytes(elf));
      EXPECT_EQ(core.word_size, word_size);
      EXPECT_EQ(core.byte_order, order);
      EXPECT_EQ(core.machine, 22U);
      ASSERT_EQ(core.program_headers.size(), 3U);
      const ProgramHeader& last = core.program_headers[2];
      EXPECT_EQ(last.type, kPtLoad);
      EXPECT_EQ(last.vaddr, elf.segments[1].vaddr);
      EXPECT_EQ(last.paddr, 0x100000U);
      EXPECT_EQ(last.file_size, 0x60U);
      EXPECT_EQ(last.memory_size, 0x80U);
      ASSERT_EQ(core.notes.size(), 2U);
      EXPECT_EQ(core.notes[1].name, "VMCOREINFO");
      EXPECT_EQ(core.notes[1].size, 14U);
      EXPECT_THAT(core.warnings, IsEmpty());
    }
  }
}

TEST(ElfCore, FindsProgramHeadersBehindTheData) {
  ElfDescription elf = small_core();
  elf.headers_last = true;
  const ElfCore core = read_core(test::elf_bytes(elf));
  ASSERT_EQ(core.program_headers.size(), 3U);
  EXPECT_EQ(core.program_headers[1].paddr, 0x1000U);
}

// QEMU 7.2 puts section headers before the program headers, and writes 8 as the size of the file header.
TEST(ElfCore, FindsProgramHeadersWhereQemu72PutsThem) {
  ElfDescription elf;
  elf.headers_last = true;
  elf.segments.push_back({.paddr = 0x100000, .memory_size = 0x1000});
  Bytes bytes = test::elf_bytes(elf);
  constexpr size_t kPhoff = 192;
  std::copy(bytes.end() - kProgramHeaderSize, bytes.end(), bytes.begin() + kPhoff);
  bytes.resize(bytes.size() - kProgramHeaderSize);
  test::put<uint64_t>(bytes, kPhoffAt, kPhoff);
  test::put<uint16_t>(bytes, kEhsizeAt, 8);
  const ElfCore core = read_core(bytes);
  ASSERT_EQ(core.program_headers.size(), 1U);
  EXPECT_EQ(core.program_headers[0].paddr, 0x100000U);
}

TEST(ElfCore, ReadsProgramHeadersThatAreLargerThanNeeded) {
  ElfDescription elf = small_core();
  elf.program_header_size = kProgramHeaderSize + 24;
  const ElfCore core = read_core(test::elf_bytes(elf));
  ASSERT_EQ(core.program_headers.size(), 3U);
  EXPECT_EQ(core.program_headers[2].paddr, 0x100000U);
}

TEST(ElfCore, TakesTheCountFromSectionHeaderZeroWithPnXnum) {
  for (const unsigned word_size : {4U, 8U}) {
    ElfDescription elf;
    elf.word_size = word_size;
    elf.extended_count = true;
    elf.alignment = 1;
    for (uint64_t i = 0; i < 70000; ++i) elf.segments.push_back({.paddr = i * 2, .memory_size = 1});
    const ElfCore core = read_core(test::elf_bytes(elf));
    ASSERT_EQ(core.program_headers.size(), 70000U);
    EXPECT_EQ(core.program_headers[69999].paddr, 69999U * 2);
  }
}

TEST(ElfCore, RefusesPnXnumWhereSectionHeaderZeroIsNotThere) {
  ElfDescription elf = small_core();
  elf.extended_count = true;
  Bytes bytes = test::elf_bytes(elf);
  test::put<uint64_t>(bytes, kShoffAt, bytes.size());
  EXPECT_THAT(failure_of(bytes), HasSubstr("section header 0"));
  test::put<uint64_t>(bytes, kShoffAt, UINT64_MAX - 8);
  EXPECT_THAT(failure_of(bytes), HasSubstr("section header 0"));
}

TEST(ElfCore, RefusesCountsThatTheFileCannotHold) {
  Bytes bytes = test::elf_bytes(small_core());
  test::put<uint16_t>(bytes, kPhnumAt, 60000);
  EXPECT_THAT(failure_of(bytes), HasSubstr("60000 program headers at offset 0x40 do not fit the file"));

  ElfDescription elf = small_core();
  elf.extended_count = true;
  bytes = test::elf_bytes(elf);
  constexpr size_t kInfoAt = kHeaderSize + 44;
  for (const uint32_t count : {0x7fffffffU, 0xffffffffU}) {
    test::put<uint32_t>(bytes, kInfoAt, count);
    EXPECT_THAT(failure_of(bytes), HasSubstr("do not fit the file"));
  }
}

TEST(ElfCore, RefusesProgramHeadersBeyondTheFile) {
  Bytes bytes = test::elf_bytes(small_core());
  for (const uint64_t phoff : {uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 55, uint64_t{bytes.size() - 10}}) {
    test::put<uint64_t>(bytes, kPhoffAt, phoff);
    EXPECT_THAT(failure_of(bytes), HasSubstr("do not fit the file")) << phoff;
  }
}

TEST(ElfCore, RefusesAFileWithoutProgramHeaders) {
  Bytes bytes = test::elf_bytes(small_core());
  test::put<uint16_t>(bytes, kPhnumAt, 0);
  EXPECT_THAT(failure_of(bytes), HasSubstr("without program headers"));
}

TEST(ElfCore, RefusesProgramHeadersThatAreTooSmall) {
  Bytes bytes = test::elf_bytes(small_core());
  for (const uint16_t size : {0, 1, 55}) {
    test::put<uint16_t>(bytes, kPhentsizeAt, size);
    EXPECT_THAT(failure_of(bytes), HasSubstr("at least 56 are needed"));
  }
}

TEST(ElfCore, SaysWhatAnotherKindOfElfFileIs) {
  ElfDescription elf = small_core();
  elf.type = 1;
  EXPECT_THAT(failure_of(test::elf_bytes(elf)), HasSubstr("an object file, not a memory image"));
  elf.type = 2;
  EXPECT_THAT(failure_of(test::elf_bytes(elf)), HasSubstr("an executable, for example a vmlinux"));
  elf.type = 3;
  EXPECT_THAT(failure_of(test::elf_bytes(elf)), HasSubstr("a shared object"));
  elf.type = 0xfe00;
  EXPECT_THAT(failure_of(test::elf_bytes(elf)), HasSubstr("another type"));
}

TEST(ElfCore, RefusesAFileHeaderThatIsCut) {
  const Bytes bytes = test::elf_bytes(small_core());
  for (size_t size = 4; size < kHeaderSize; ++size) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(failure_of(cut),
                testing::AnyOf(HasSubstr("too short"), HasSubstr("cut off"), HasSubstr("cut short")))
        << size;
  }
}

TEST(ElfCore, RefusesUnknownClassesAndByteOrders) {
  Bytes bytes = test::elf_bytes(small_core());
  bytes[4] = std::byte{3};
  EXPECT_THAT(failure_of(bytes), HasSubstr("unknown ELF class 3"));
  bytes[4] = std::byte{2};
  bytes[5] = std::byte{0};
  EXPECT_THAT(failure_of(bytes), HasSubstr("unknown ELF byte order 0"));
}

TEST(ElfCore, TellsWhereAFileIsDamaged) {
  Bytes bytes = test::elf_bytes(small_core());
  test::put<uint16_t>(bytes, kTypeAt, 2);
  try {
    read_core(bytes);
    FAIL() << "an executable was read";
  } catch (const FormatError& error) {
    EXPECT_EQ(error.offset(), kTypeAt);
  }
}

// --- notes: the list as bytes, in a PT_NOTE segment of its own ---

ElfCore core_with_notes(const Bytes& list, uint64_t header_says = 0) {
  ElfDescription elf;
  elf.segments.push_back({.type = kPtNote,
                          .memory_size = std::max<uint64_t>(header_says, list.size()),
                          .data = test::data_of(list)});
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x10});
  return read_core(test::elf_bytes(elf));
}

Bytes note(std::string_view name, uint32_t type, size_t size) {
  Bytes bytes;
  test::put<uint32_t>(bytes, 0, static_cast<uint32_t>(name.size()));
  test::put<uint32_t>(bytes, 4, static_cast<uint32_t>(size));
  test::put<uint32_t>(bytes, 8, type);
  const Bytes text = test::bytes_of(name);
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.resize((bytes.size() + 3) / 4 * 4);
  bytes.resize((bytes.size() + size + 3) / 4 * 4, std::byte{0xaa});
  return bytes;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

std::vector<std::string> names_of(const ElfCore& core) {
  std::vector<std::string> names;
  for (const Note& n : core.notes) names.push_back(n.name);
  return names;
}

TEST(ElfNotes, AreReadWithAnyPadding) {
  const ElfCore core =
      core_with_notes(note("A", 1, 0) + note("BCD", 2, 3) + note("EFGHI", 3, 8) + note("", 4, 1));
  EXPECT_THAT(names_of(core), ElementsAre("A", "BCD", "EFGHI", ""));
  EXPECT_EQ(core.notes[1].size, 3U);
  EXPECT_EQ(core.notes[2].type, 3U);
}

TEST(ElfNotes, EndTheirNamesAtTheNul) {
  EXPECT_THAT(names_of(core_with_notes(note(std::string_view("VMCOREINFO\0", 11), 0, 4))),
              ElementsAre("VMCOREINFO"));
}

TEST(ElfNotes, EndAtZeroPadding) {
  const ElfCore core = core_with_notes(note("A", 1, 4) + Bytes(4096));
  EXPECT_THAT(names_of(core), ElementsAre("A"));
  EXPECT_THAT(core.warnings, IsEmpty()) << "a crash kernel pads its per-CPU notes";
}

TEST(ElfNotes, EndWhereOneDoesNotFitTheList) {
  Bytes garbage(16, std::byte{0xff});
  EXPECT_THAT(names_of(core_with_notes(note("A", 1, 4) + garbage)), ElementsAre("A"));
  Bytes long_descriptor = note("B", 1, 4);
  test::put<uint32_t>(long_descriptor, 4, 0xfffffff0);
  EXPECT_THAT(names_of(core_with_notes(note("A", 1, 4) + long_descriptor)), ElementsAre("A"));
  Bytes long_name = note("B", 1, 4);
  test::put<uint32_t>(long_name, 0, 0xfffffffd);
  EXPECT_THAT(names_of(core_with_notes(note("A", 1, 4) + long_name)), ElementsAre("A"));
}

TEST(ElfNotes, AreReadUpToACutHeader) {
  const Bytes second = note("B", 1, 4);
  for (size_t keep = 1; keep < 12; ++keep) {
    const Bytes cut(second.begin(), second.begin() + static_cast<ptrdiff_t>(keep));
    EXPECT_THAT(names_of(core_with_notes(note("A", 1, 4) + cut)), ElementsAre("A")) << keep;
  }
}

TEST(ElfNotes, WarnWhereTheFileEndsWithinTheList) {
  ElfDescription elf;
  elf.alignment = 1;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x10});
  elf.segments.push_back(
      {.type = kPtNote, .memory_size = 48, .data = test::data_of(note("A", 1, 4) + note("B", 1, 8))});
  const uint64_t whole = test::elf_bytes(elf).size();
  elf.truncate = whole - 20;
  const ElfCore core = read_core(test::elf_bytes(elf));
  EXPECT_THAT(names_of(core), ElementsAre("A"));
  EXPECT_THAT(core.warnings, ElementsAre(HasSubstr("cut short by the end of the file")));
}

TEST(ElfNotes, WarnWhereTheListIsBeyondTheFile) {
  ElfDescription elf;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x10});
  elf.segments.push_back({.type = kPtNote, .memory_size = 48, .in_file = false, .offset = uint64_t{1} << 40});
  const ElfCore core = read_core(test::elf_bytes(elf));
  EXPECT_THAT(core.notes, IsEmpty());
  EXPECT_THAT(core.warnings, ElementsAre(HasSubstr("beyond the end of the file")));
}

TEST(ElfNotes, AreFoundBehindADescriptorOfManyMegabytes) {
  const ElfCore core = core_with_notes(note("BIG", 1, size_t{5} << 20) + note("LAST", 2, 4));
  EXPECT_THAT(names_of(core), ElementsAre("BIG", "LAST"));
  EXPECT_EQ(core.notes[0].size, uint64_t{5} << 20);
}

// Many program headers may name the same bytes: what is kept must not grow with their product.
TEST(ElfNotes, AreNotMultipliedByProgramHeadersThatNameTheSameBytes) {
  Bytes list;
  for (int i = 0; i < 2000; ++i) list = list + note("A", 1, 0);
  ElfDescription elf;
  elf.alignment = 1;
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x10});
  elf.segments.push_back(
      {.type = kPtNote, .memory_size = list.size(), .data = test::data_of(list), .offset = 0x40000});
  for (int i = 0; i < 2000; ++i)
    elf.segments.push_back(
        {.type = kPtNote, .memory_size = list.size(), .in_file = false, .offset = 0x40000});
  const Bytes bytes = test::elf_bytes(elf);
  EXPECT_LE(read_core(bytes).notes.size(), bytes.size() / 12);
}

}  // namespace
}  // namespace kvista::image
