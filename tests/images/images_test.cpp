// The builder itself, where it could be wrong: what it writes is looked at byte by byte.
#include "images/image.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstring>

#include "images/elf_builder.h"
#include "images/temporary.h"

namespace kvista::test {
namespace {

template <std::unsigned_integral T>
T at(const std::vector<std::byte>& bytes, size_t offset, ByteOrder order) {
  return load<T>(&bytes.at(offset), order);
}

ElfDescription one_segment(unsigned word_size, ByteOrder order) {
  ElfDescription elf;
  elf.word_size = word_size;
  elf.byte_order = order;
  elf.notes = {{"CORE", 1, bytes_of("abcde")}, {"X", 7, bytes_of("z")}};
  ElfSegment segment;
  segment.vaddr = 0xc0001000;
  segment.paddr = 0x1000;
  segment.memory_size = 0x3000;
  segment.file_size = 0x1000;
  segment.data = data_of(bytes_of("memory"));
  elf.segments = {segment};
  return elf;
}

// --- ELF ---

TEST(ElfBuilder, Class64BigEndian) {
  const auto bytes = elf_bytes(one_segment(8, ByteOrder::big));
  const auto u16 = [&](size_t offset) { return at<uint16_t>(bytes, offset, ByteOrder::big); };
  const auto u64 = [&](size_t offset) { return at<uint64_t>(bytes, offset, ByteOrder::big); };
  EXPECT_EQ(std::memcmp(bytes.data(),
                        "\x7f"
                        "ELF\x02\x02\x01",
                        7),
            0);
  EXPECT_EQ(u16(16), 4U);   // e_type
  EXPECT_EQ(u64(32), 64U);  // e_phoff
  EXPECT_EQ(u16(54), 56U);  // e_phentsize
  EXPECT_EQ(u16(56), 2U);   // e_phnum
  const size_t load_at = 64 + 56;
  EXPECT_EQ(at<uint32_t>(bytes, load_at, ByteOrder::big), 1U);
  EXPECT_EQ(u64(load_at + 8), 0x1000U);       // p_offset
  EXPECT_EQ(u64(load_at + 16), 0xc0001000U);  // p_vaddr
  EXPECT_EQ(u64(load_at + 24), 0x1000U);      // p_paddr
  EXPECT_EQ(u64(load_at + 32), 0x1000U);      // p_filesz
  EXPECT_EQ(u64(load_at + 40), 0x3000U);      // p_memsz
  EXPECT_EQ(bytes.size(), 0x2000U);
  EXPECT_EQ(std::memcmp(&bytes.at(0x1000), "memory\0", 7), 0);
}

TEST(ElfBuilder, Class32LittleEndianWithNotes) {
  const auto bytes = elf_bytes(one_segment(4, ByteOrder::little));
  const auto u32 = [&](size_t offset) { return at<uint32_t>(bytes, offset, ByteOrder::little); };
  EXPECT_EQ(u32(28), 52U);  // e_phoff
  EXPECT_EQ(at<uint16_t>(bytes, 42, ByteOrder::little), 32U);
  EXPECT_EQ(u32(52), 4U);  // PT_NOTE is first
  const size_t notes_at = u32(52 + 4);
  EXPECT_EQ(notes_at, 52U + 2 * 32);
  EXPECT_EQ(u32(notes_at), 5U);
  EXPECT_EQ(u32(notes_at + 4), 5U);
  EXPECT_EQ(u32(notes_at + 8), 1U);
  EXPECT_EQ(std::memcmp(&bytes.at(notes_at + 12), "CORE\0\0\0\0abcde\0\0\0", 16), 0);
  EXPECT_EQ(u32(notes_at + 28), 2U) << "the second note is aligned to 4 bytes";
  const size_t load_at = 52 + 32;
  EXPECT_EQ(u32(load_at + 8), 0xc0001000U);  // p_vaddr
  EXPECT_EQ(u32(load_at + 16), 0x1000U);     // p_filesz
  EXPECT_EQ(u32(load_at + 20), 0x3000U);     // p_memsz
}

TEST(ElfBuilder, ExtendedCount) {
  for (const unsigned word_size : {4U, 8U}) {
    ElfDescription elf = one_segment(word_size, ByteOrder::big);
    elf.extended_count = true;
    const auto bytes = elf_bytes(elf);
    EXPECT_EQ(at<uint16_t>(bytes, word_size == 4 ? 44 : 56, ByteOrder::big), 0xffffU);
    const uint64_t section =
        word_size == 4 ? at<uint32_t>(bytes, 32, ByteOrder::big) : at<uint64_t>(bytes, 40, ByteOrder::big);
    EXPECT_EQ(at<uint32_t>(bytes, section + (word_size == 4 ? 28 : 44), ByteOrder::big), 2U);
  }
}

TEST(ElfBuilder, HeadersBehindTheData) {
  ElfDescription elf = one_segment(8, ByteOrder::little);
  elf.headers_last = true;
  elf.program_header_size = 64;
  const auto bytes = elf_bytes(elf);
  EXPECT_EQ(at<uint64_t>(bytes, 32, ByteOrder::little), 0x2000U);
  EXPECT_EQ(bytes.size(), 0x2000U + 2 * 64);
  EXPECT_EQ(at<uint32_t>(bytes, 0x2000 + 64, ByteOrder::little), 1U);
}

TEST(ElfBuilder, TruncationAndSharedBytes) {
  ElfDescription elf = one_segment(8, ByteOrder::little);
  elf.segments.push_back(elf.segments[0]);
  elf.segments[1].offset = 0x1800;
  elf.segments[1].data = nullptr;
  elf.truncate = 0x1900;
  EXPECT_EQ(elf_bytes(elf).size(), 0x1900U);
  elf.truncate = {};
  EXPECT_EQ(elf_bytes(elf).size(), 0x2800U);
}

// --- the language ---

TEST(DescriptionLanguage, SaysWhatIsWrongAndWhere) {
  for (const char* wrong :
       {"nonsense", "machine levels=x", "ram 5-2", "pages", "note set A", "symbols encoding odd",
        "struct_page layout=2.4", "ram", "segments lime", "machine extra", "zone", "map 0x1000"}) {
    try {
      const TestImage image(fmt::format("# a comment\n\n{}\n", wrong));
      ADD_FAILURE() << wrong << " was accepted";
    } catch (const DescriptionError& error) {
      EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
    }
  }
}

TEST(DescriptionLanguage, Sizes) {
  EXPECT_EQ(parse_size("0x10K"), 0x4000U);
  EXPECT_EQ(parse_size("3G"), uint64_t{3} << 30);
  EXPECT_EQ(parse_size("-1"), UINT64_MAX);
  EXPECT_THROW(parse_size(""), DescriptionError);
  EXPECT_THROW(parse_size("12x"), DescriptionError);
}

TEST(DescriptionLanguage, LaterLinesWin) {
  const Description description =
      parse_description("cpus 4\nnote omit A\nnote set A=1\nsegments kcore text=no\nsegments qemu\ncpus 8");
  EXPECT_EQ(description.cpus, 8U);
  EXPECT_TRUE(description.note.omit.empty());
  EXPECT_TRUE(description.segments.text) << "a style starts anew";
  EXPECT_EQ(parse_description("segments kcore\nsegments with text=no").segments.style, SegmentStyle::kcore);
}

// --- the kernel in memory ---

uint64_t through_tables(const Kernel& kernel, uint64_t virt) {
  const unsigned levels = kernel.description().machine.levels;
  const uint64_t mask = 0x000ffffffffff000 & ~kernel.description().machine.sme_mask;
  uint64_t table = kernel.root();
  for (unsigned level = levels; level > 0; --level) {
    const uint64_t size = kernel.tables().page_size(level);
    const uint64_t entry = kernel.memory().get64(table + virt / size % 512 * 8);
    if ((entry & 1) == 0) return UINT64_MAX;
    table = entry & mask;
    if (level == 1 || (entry & 0x80) != 0) return (table & ~(size - 1)) + virt % size;
  }
  return UINT64_MAX;
}

TEST(SyntheticKernel, PageTablesLeadHome) {
  for (const char* machine :
       {"levels=4", "levels=5", "levels=5 sme_mask=0x800000000000", "levels=4 direct_map=4k"}) {
    const TestImage image(fmt::format("machine {}\n", machine));
    const Kernel& kernel = image.kernel();
    for (const uint64_t phys : {uint64_t{0}, uint64_t{0x9e123}, uint64_t{0x100000}, uint64_t{0x3ffffff}})
      EXPECT_EQ(through_tables(kernel, kernel.direct(phys)), phys);
    EXPECT_EQ(through_tables(kernel, kernel.symbol("init_uts_ns")),
              kernel.image_phys(kernel.symbol("init_uts_ns")));
    EXPECT_EQ(through_tables(kernel, kernel.direct(0xa0000)), UINT64_MAX) << "no RAM";
  }
}

struct RawPage {
  uint64_t flags, at_8, at_16, mapping, priv;
  uint32_t mapcount, refcount;
};

RawPage raw_page(const Kernel& kernel, uint64_t pfn) {
  const uint64_t at = through_tables(kernel, kernel.vmemmap() + pfn * kernel.description().page_struct_size);
  const auto word = [&](uint64_t offset) { return kernel.memory().get64(at + offset); };
  return {word(0) & ((uint64_t{1} << 50) - 1),
          word(8),
          word(16),
          word(24),
          word(40),
          static_cast<uint32_t>(word(48)),
          static_cast<uint32_t>(word(48) >> 32)};
}

TEST(SyntheticKernel, StructPagesOfAllLayouts) {
  for (const KernelLayout& layout : layouts()) {
    SCOPED_TRACE(layout.name);
    const TestImage image(
        fmt::format("struct_page layout={}\npages 0x400-0x40f class=buddy order=3\n"
                    "pages 0x600-0x7ff class=hugetlb order=9\npages 0x800 class=anon\n"
                    "pages 0x801 class=lru private\npages 0x802 class=slab\npages 0x803 class=hwpoison\n",
                    layout.name));
    const Kernel& kernel = image.kernel();
    const RawPage buddy = raw_page(kernel, 0x408);
    EXPECT_EQ(buddy.mapcount, static_cast<uint32_t>(layout.page.buddy));
    EXPECT_EQ(buddy.priv, 3U);
    EXPECT_EQ(raw_page(kernel, 0x409).mapcount, UINT32_MAX);
    EXPECT_EQ(raw_page(kernel, 0x600).flags, uint64_t{1} << layout.page.head);
    const RawPage second = raw_page(kernel, 0x601);
    EXPECT_EQ(second.at_8 & 1, 1U);
    if (!layout.page.compound_info) {
      EXPECT_EQ(second.at_8, kernel.vmemmap() + uint64_t{0x600} * 64 + 1);
    }
    EXPECT_EQ(layout.page.compound == CompoundStyle::bytes ? second.at_16 >> 8 & 0xff : second.flags & 0xff,
              9U);
    EXPECT_EQ(raw_page(kernel, 0x800).mapping & 1, 1U);
    EXPECT_EQ(raw_page(kernel, 0x801).flags,
              uint64_t{1} << layout.page.lru | uint64_t{1} << layout.page.priv);
    EXPECT_EQ(raw_page(kernel, 0x802).flags != 0, layout.page.slab.has_value());
    EXPECT_EQ(raw_page(kernel, 0x803).flags, uint64_t{1} << layout.page.hwpoison);
    EXPECT_EQ(image.class_of(0x2000).kind, "reserved") << "the kernel image";
    EXPECT_EQ(image.class_of(0xa0).kind, "hole");
    EXPECT_EQ(image.class_of(0x3f00).kind, "kernel");
  }
}

uint64_t nr_free(const Kernel& kernel, unsigned node, unsigned zone, unsigned order) {
  const ZoneLayout& layout = kernel.layout().zones;
  const uint64_t pglist =
      kernel.memory().get64(kernel.image_phys(kernel.symbol("node_data")) + 8 * uint64_t{node});
  return kernel.memory().get64(pglist - kernel.page_offset() + zone * layout.zone + layout.free_area_offset +
                               order * layout.free_area + layout.migrate_types * 16);
}

TEST(SyntheticKernel, ZonesCountTheirFreeBlocks) {
  const TestImage image(
      "pages 0x400-0x43f class=buddy order=3\npages 0x1000-0x1003 class=buddy\npages 0x1002 class=slab\n"
      "node 0 0x0-0x1001000\nnode 1 0x1001000-0x4000000\nzone DMA32 node=1 order=5 add=2\n");
  EXPECT_EQ(nr_free(image.kernel(), 0, 0, 3), 8U);
  EXPECT_EQ(nr_free(image.kernel(), 0, 1, 0), 1U);
  EXPECT_EQ(nr_free(image.kernel(), 1, 1, 0), 2U) << "one is not free any more";
  EXPECT_EQ(nr_free(image.kernel(), 1, 1, 5), 2U) << "a lie";
}

TEST(SyntheticKernel, HugeImagesStaySmall) {
  const TemporaryDirectory directory;
  const TestImage image(
      "ram 0x0-256G\nmachine direct_map=1g\nmemory_map repeat=1\n"
      "pages 0x0-0x3fff class=buddy order=10\npages 0x4000-0x5fff class=anon\n");
  image.write(directory.file("image"));
  struct stat st {};
  ASSERT_EQ(stat(directory.file("image").c_str(), &st), 0);
  EXPECT_GE(static_cast<uint64_t>(st.st_size), uint64_t{256} << 30);
  EXPECT_LT(static_cast<uint64_t>(st.st_blocks) * 512, uint64_t{16} << 20) << "the rest are holes";
  EXPECT_EQ(image.class_of(0x8000 * 5 + 0x4001).kind, "anon");
  EXPECT_EQ(nr_free(image.kernel(), 0, 2, 10), 2048U * 16 - 32 * 16) << "zone Normal: above 4 GiB";
}

TEST(SyntheticKernel, NoteTellsWhatTheLayoutExports) {
  for (const KernelLayout& layout : layouts()) {
    const std::string note = TestImage(fmt::format("struct_page layout={}\n", layout.name)).note();
    EXPECT_EQ(note.find("SYMBOL(kallsyms_names)") != std::string::npos, layout.kallsyms);
    EXPECT_EQ(note.find("NUMBER(VMALLOC_START)") != std::string::npos, layout.ranges);
    EXPECT_EQ(note.find("OFFSET(page.compound_info)=8") != std::string::npos, layout.page.compound_info);
    EXPECT_NE(note.find("NUMBER(phys_base)=-"), std::string::npos) << "signed, as the kernel prints it";
  }
  const std::string note = TestImage("note set NUMBER(page_offset_base)=$page_offset").note();
  EXPECT_NE(note.find("NUMBER(page_offset_base)=-56104"), std::string::npos) << note;
}

}  // namespace
}  // namespace kvista::test
