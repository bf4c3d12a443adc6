#include "fuzz/seeds.h"

#include "fuzz/printk_input.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include "arch/x86_64/orc.h"
#include "images/avml_builder.h"
#include "images/btf_builder.h"
#include "images/byte_writer.h"
#include "images/compress.h"
#include "images/elf_builder.h"
#include "images/file_formats.h"
#include "images/kallsyms_builder.h"
#include "images/kdump_builder.h"
#include "images/memory.h"
#include "images/page_tables.h"
#include "images/s390_dump_builder.h"
#include "images/vmlinux_builder.h"
#include "unit/kallsyms_blob.h"

namespace kvista::fuzz {
namespace {

using test::bytes_of;
using test::ByteWriter;
using test::ElfDescription;

constexpr const char* kNote =
    "OSRELEASE=6.1.0-56-cloud-amd64\nBUILD-ID=3b43fad5034874490492495d552c0af6a5fab235\nPAGESIZE=4096\n"
    "SYMBOL(_stext)=ffffffff88a00000\nSYMBOL(mem_section)=ff33bd9a7fd3e000\nLENGTH(mem_section)=131072\n"
    "SIZE(page)=64\nOFFSET(page._mapcount)=48\nNUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=-129\n"
    "NUMBER(VMALLOC_START)=0xff70e642c0000000\nNUMBER(phys_base)=-329252864\nKERNELOFFSET=7a00000\n"
    "CRASHTIME=1795457957\nCONFIG_X86_64=y\n";

// --- ELF ---

ElfDescription small_core() {
  ElfDescription elf;
  elf.alignment = 16;
  elf.notes = {{"CORE", 1, std::vector<std::byte>(336)}, {"VMCOREINFO", 0, bytes_of(kNote)}};
  elf.segments.push_back({.paddr = 0x1000, .memory_size = 0x80, .data = test::data_of(bytes_of("memory"))});
  elf.segments.push_back({.paddr = 0x100000, .memory_size = 0x4000, .file_size = 0x60});
  return elf;
}

std::vector<Seed> elf_seeds() {
  std::vector<Seed> seeds;
  for (const unsigned word_size : {4U, 8U}) {
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      for (const bool odd : {false, true}) {
        ElfDescription elf = small_core();
        elf.word_size = word_size;
        elf.byte_order = order;
        elf.headers_last = odd;
        elf.extended_count = odd;
        seeds.push_back({fmt::format("{}-{}{}", word_size, order == ByteOrder::little ? "little" : "big",
                                     odd ? "-odd" : ""),
                         test::elf_bytes(elf)});
      }
    }
  }
  ElfDescription text = small_core();
  text.segments[0].vaddr = 0xffff888000001000;
  text.segments[1].vaddr = 0xffff888000100000;
  text.segments.push_back({.vaddr = 0xffffffff81000000, .paddr = 0x100010, .memory_size = 0x20});
  seeds.push_back({"text-twice", test::elf_bytes(text)});
  return seeds;
}

// --- stand-alone dumps of s390x ---

std::vector<Seed> s390_dump_seeds() {
  const auto memory = [](uint64_t start, size_t size) {
    return test::S390Segment{start, std::vector<std::byte>(size, std::byte{0x5a})};
  };
  return {{"plain", test::s390_dump_bytes({false, {memory(0, 0x200)}})},
          {"extended", test::s390_dump_bytes({true, {memory(0, 0x100), memory(0x100000, 0x80)}})}};
}

// --- LiME and flattened streams ---

std::vector<std::byte> lime_range(uint64_t start, uint64_t size) {
  auto bytes = test::lime_header({start, start + size});
  bytes.resize(bytes.size() + size, std::byte{7});
  return bytes;
}

std::vector<Seed> lime_seeds() {
  auto two = lime_range(0x1000, 0x100);
  const auto second = lime_range(0x100000, 0x80);
  two.insert(two.end(), second.begin(), second.end());
  return {{"one", lime_range(0, 0x40)}, {"two", two}};
}

std::vector<Seed> avml_seeds() {
  std::vector<std::byte> bytes(70000);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(i < 1000 ? i * i * 2654435761U >> 13 : i / 4096);
  auto two = test::avml_block(0x1000, 1000, test::snappy_stream(std::span(bytes).first(1000)));
  const auto second = test::avml_block(0x100000, bytes.size(), test::snappy_stream(bytes));
  two.insert(two.end(), second.begin(), second.end());
  return {{"one", second}, {"two", two}};
}

std::vector<Seed> flattened_seeds() {
  const auto dump = lime_range(0x1000, 0x100);
  const auto part = [&](size_t from, size_t to) {
    return std::vector<std::byte>(dump.begin() + static_cast<ptrdiff_t>(from),
                                  dump.begin() + static_cast<ptrdiff_t>(to));
  };
  return {{"whole", test::flattened_bytes({{0, dump}})},
          {"parts", test::flattened_bytes({{0, std::vector<std::byte>(64)},
                                           {100, part(100, dump.size())},
                                           {20, part(20, 110)},
                                           {0, part(0, 30)}})}};
}

// --- kdump ---

// A few pages, some of zeros, some that do not compress.
test::KdumpDescription small_kdump() {
  test::KdumpDescription kdump;
  kdump.max_mapnr = 64;
  kdump.memory = {1, 2, 3, 4, 5, 6, 40, 41};
  kdump.excluded = {5};
  kdump.page = [](uint64_t pfn) {
    std::vector<std::byte> page(4096);
    for (size_t i = 0; i < page.size() && pfn != 3; ++i)
      page[i] = static_cast<std::byte>(pfn == 4 ? (i * i * 2654435761U) >> 13 : pfn + i / 512);
    return page;
  };
  kdump.vmcoreinfo = kNote;
  kdump.notes = {{"CORE", 1, std::vector<std::byte>(336)}};
  return kdump;
}

std::vector<Seed> kdump_seeds() {
  std::vector<Seed> seeds;
  for (const codec::Codec codec :
       {codec::Codec::zlib, codec::Codec::lzo, codec::Codec::snappy, codec::Codec::zstd}) {
    if (!codec::is_available(codec)) continue;
    test::KdumpDescription kdump = small_kdump();
    kdump.codecs = {codec};
    seeds.push_back({codec::describe(codec), test::kdump_bytes(kdump)});
  }
  for (unsigned version = 1; version <= 6; ++version) {
    test::KdumpDescription kdump = small_kdump();
    kdump.version = version;
    kdump.codecs = {};
    kdump.word_size = version % 2 == 0 ? 8 : 4;
    kdump.byte_order = version % 3 == 0 ? ByteOrder::big : ByteOrder::little;
    kdump.machine = version % 2 == 0 ? "s390x" : "i686";
    seeds.push_back({fmt::format("v{}", version), test::kdump_bytes(kdump)});
  }
  return seeds;
}

// --- texts ---

std::vector<Seed> vmcoreinfo_seeds() {
  return {{"6.1", bytes_of(kNote)},
          {"one-line", bytes_of("PAGESIZE=4096\n")},
          {"twice", bytes_of("NUMBER(x)=1\nNUMBER(x)=0x2\nNUMBER(page_offset_base)=-50754020452597760\n")}};
}

std::vector<Seed> iomem_seeds() {
  return {{"guest", bytes_of("00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n"
                             "00100000-3ffddfff : System RAM\n  1a000000-1b0023c7 : Kernel code\n"
                             "    2b000000-32ffffff : Crash kernel\n100000000-1bfffffff : System RAM\n")},
          {"user", bytes_of("00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n")}};
}

// --- symbol files, configurations ---

std::vector<Seed> symbol_file_seeds() {
  const std::vector<test::Symbol> symbols = {{"_stext", 'T', 0x81000000}, {"init_uts_ns", 'D', 0x82001000}};
  std::vector<Seed> seeds = {
      {"text", bytes_of("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n"
                        "ffffffffc0000000 t _stext\t[module]\nffffffff82001000 D init_uts_ns\n")}};
  for (const unsigned word_size : {4U, 8U})
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big})
      seeds.push_back(
          {fmt::format("elf-{}-{}", word_size, order == ByteOrder::little ? "little" : "big"),
           test::vmlinux_bytes(symbols, {.order = order, .word_size = word_size, .build_id = "ffee"})});
  return seeds;
}

// Every kind that members can have, and a struct that holds itself.
std::vector<Seed> btf_seeds() {
  test::BtfBuilder builder;
  const uint32_t i = builder.integer("int", 4, true);
  const uint32_t inner = builder.structure("", 8, {{"low", i, 0}, {"x", i, 32, 5}});
  const uint32_t point = builder.structure("point", 16, {{"", inner, 0}, {"next", 4, 64}});
  builder.pointer(point);
  builder.enumeration("colour", {{"RED", -1}, {"BLUE", 7}});
  builder.variable("counter", builder.array(i, i, 4));
  builder.reference(12, "main", builder.prototype(i, {{"at", 4, 0}}));
  builder.reference(8, "point_t", builder.reference(10, "", point));
  const auto whole = builder.build();
  builder.structure("knot", 8, {{"", 12, 0}});
  return {{"kinds", whole}, {"knot", builder.build()}};
}

std::vector<Seed> config_seeds() {
  const auto text = bytes_of(
      "#\n# Linux/x86 6.12.57 Kernel Configuration\n#\nCONFIG_X86_64=y\nCONFIG_CC=\"gcc\"\n"
      "# CONFIG_RANDOMIZE_BASE is not set\nCONFIG_PGTABLE_LEVELS=5\nCONFIG_PHYSICAL_START=0x1000000\n");
  return {{"plain", text}, {"gzip", test::compress(codec::Codec::gzip, text)}};
}

// As QEMU noted a CPU of Debian's 6.12, with 5 levels and with 4.
std::vector<Seed> qemu_cpu_seeds() {
  const auto seed = [](const char* name, uint64_t cr3, uint64_t cr4) {
    ByteWriter out;
    out.u32(1);
    out.u32(440);
    out.zeros(18 * 8 + 9 * 24 + 16);
    for (const uint64_t value : {uint64_t{0xfffffe0000000000}, uint64_t{0x80050033}, uint64_t{0}, uint64_t{0},
                                 cr3, cr4, uint64_t{0}})
      out.u64(value);
    return Seed{name, out.take()};
  };
  return {seed("5-levels", 0x19654000, 0x751ef0), seed("4-levels", 0x4ad4000, 0x750ef0)};
}

// --- stacks ---

constexpr uint64_t kInner = 0x40;
constexpr uint64_t kOuter = 0x80;

// Two functions, one called by the other, of which the outer is the end of the stack; entries as of 6.4 and
// 7.1, whose numbers for these are the same.
std::vector<std::byte> unwind_seed(arch::x86_64::OrcFormat format, uint64_t ip) {
  constexpr uint64_t kStart = kUnwindStart.value;
  constexpr uint64_t kStack = 0xc0;
  constexpr uint64_t kTables = 2 * 4 + 2 * 6;
  constexpr uint16_t kEnd = 1 << 8;
  constexpr uint16_t kCallBySp = 2 << 8 | 5;
  ByteWriter out;
  out.u32(static_cast<uint32_t>(format));
  out.u32(2);
  for (const uint64_t value : {kStart + ip, kStart + kStack, uint64_t{0}, kStack + 0x40}) out.u64(value);
  out.u32(kInner);
  out.u32(kOuter - 4);
  for (const uint16_t part : {uint16_t{16}, uint16_t{0}, kCallBySp, uint16_t{0}, uint16_t{0}, kEnd})
    out.u16(part);
  out.zeros(kStack + 8 - kTables);
  out.u64(kStart + kOuter + 8);
  out.zeros(0x80);
  return out.take();
}

std::vector<Seed> unwind_seeds() {
  using arch::x86_64::OrcFormat;
  return {{"two-frames", unwind_seed(OrcFormat::v6_4, kInner + 8)},
          {"end", unwind_seed(OrcFormat::v7_1, kOuter + 8)}};
}

// Frames that lead to each other: one of a function, with the frame of a function that nobody called, or that
// of where a thread of the kernel began. `words` are by their place in memory.
Seed frames_seed(const char* name, uint32_t format, uint64_t fp, ByteOrder order,
                 const std::map<uint64_t, uint64_t>& words) {
  constexpr uint64_t kSize = 0x400;
  ByteWriter out;
  out.u32(format);
  out.u32(0);
  for (const uint64_t value : {kUnwindStart.value + kOuter + 8, kUnwindStart.value + 0x100, fp, kSize})
    out.u64(value);
  ByteWriter memory(order);
  for (uint64_t at = 0; at < kSize; at += 8) memory.u64(words.contains(at) ? words.at(at) : 0);
  out.bytes(memory.take());
  return {name, out.take()};
}

std::vector<Seed> frames_seeds() {
  constexpr uint64_t kStart = kUnwindStart.value;
  constexpr uint64_t kFrame = 0x100;
  constexpr uint64_t kLastOfArm = 0x3e0;
  constexpr uint64_t kLastOfS390x = 0x298;
  return {frames_seed("arm64", 0, kStart + kFrame, ByteOrder::little,
                      {{kFrame, kStart + kLastOfArm}, {kFrame + 8, kStart + kOuter + 8}}),
          frames_seed("riscv64", 1, kStart + kFrame + 16, ByteOrder::little,
                      {{kFrame, kStart + 0x200}, {kFrame + 8, kStart + kInner + 8}}),
          frames_seed("s390x", 2, 0, ByteOrder::big,
                      {{kFrame + 152, kStart + kLastOfS390x}, {kLastOfS390x + 136, kStart + kInner + 8}})};
}

// --- expressions ---

std::vector<Seed> expression_seeds() {
  return {{"arithmetic", bytes_of("-1 + 2 * (3 - ~0x4UL) / 5 % 6 << 7 >> 010 // all of it")},
          {"logic", bytes_of("!a && b | c ^ d & e == f != g < h <= i || j > k && l >= 'm'")},
          {"members", bytes_of("&((struct rq *)p)->cfs.tasks[2]->next.prev")},
          {"condition", bytes_of("a:0 ? (b:1) : c ? *d : sizeof e + sizeof(unsigned long [4])")},
          {"cpus", bytes_of("per_cpu(runqueues, 1).nr + runqueues:a.nr - (u32)runqueues:2.nr")},
          {"calls", bytes_of("container_of(init_task.tasks.next, struct task_struct, tasks.x) + "
                             "offsetof(struct page, lru)")},
          {"type", bytes_of("const char *(*(*)[3])(void (*)(int), long)")},
          {"declarations",
           bytes_of("struct { u32 seq; union { int a; char b[4]; } *in[N]; } tk_core;\n// a comment\n"
                    "unsigned long avenrun[3]; int (*done[2])(struct rq *);")}};
}

// --- notes in memory ---

void put_note(std::vector<std::byte>& memory, size_t at, ByteOrder order, bool header) {
  ByteWriter out(order);
  if (header) {
    out.u32(11);
    out.u32(static_cast<uint32_t>(std::string_view(kNote).size()));
    out.u32(0);
    out.text("VMCOREINFO");
    out.zeros(2);
  }
  out.text(kNote);
  const auto bytes = out.take();
  std::copy(bytes.begin(), bytes.end(), memory.begin() + static_cast<ptrdiff_t>(at));
}

std::vector<Seed> note_scan_seeds() {
  std::vector<std::byte> memory(0x2000);
  put_note(memory, 0x104, ByteOrder::little, true);
  std::vector<std::byte> more = memory;
  put_note(more, 0x800, ByteOrder::big, true);
  put_note(more, 0xf00, ByteOrder::little, false);
  return {{"one", memory}, {"more", more}};
}

// --- kallsyms ---

std::vector<std::byte> kallsyms_input(const test::KallsymsBlob& blob, const test::KallsymsShape& shape,
                                      uint64_t known) {
  const auto offset = [&](VirtAddr at) { return static_cast<uint32_t>(at - kKallsymsStart); };
  const decode::KallsymsTables& tables = blob.tables;
  uint64_t flags = 0;
  if (shape.order == ByteOrder::big) flags |= KallsymsInput::big_endian;
  if (shape.word_size == 4) flags |= KallsymsInput::narrow;
  if (tables.offsets) flags |= KallsymsInput::has_offsets;
  if (tables.addresses) flags |= KallsymsInput::has_addresses;
  if (tables.relative_base) flags |= KallsymsInput::has_base;
  ByteWriter out;
  out.u64(flags);
  out.u64(known);
  for (const VirtAddr at :
       {tables.names, tables.num_syms, tables.token_table, tables.token_index,
        tables.offsets.value_or(kKallsymsStart), tables.addresses.value_or(kKallsymsStart),
        tables.relative_base.value_or(kKallsymsStart), kKallsymsStart})
    out.u32(offset(at));
  out.bytes(blob.bytes);
  return out.take();
}

std::vector<Seed> kallsyms_seeds() {
  constexpr uint64_t kText = 0xffffffff81000000;
  const std::vector<test::Symbol> symbols = {{kKnownSymbol, 'T', kText},
                                             {"page_offset_base", 'D', kText + 0x1345678},
                                             {"f" + std::string(200, '7'), 't', kText + 0x123},
                                             {"_end", 'B', kText + 0x2000000}};
  std::vector<Seed> seeds;
  for (int encoding = 0; encoding < 4; ++encoding) {
    for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
      const test::KallsymsShape shape{static_cast<test::SymbolEncoding>(encoding), order, 8, kText};
      const auto blob = test::build_kallsyms(symbols, shape, kKallsymsStart);
      seeds.push_back({fmt::format("{}-{}", encoding, order == ByteOrder::little ? "little" : "big"),
                       kallsyms_input(blob, shape, kText)});
    }
  }
  auto more = symbols;
  for (uint64_t i = 0; i < 600; ++i) more.push_back({fmt::format("s{}", i), 't', kText + 0x1000 + i});
  const test::KallsymsShape marked{.base = kText, .marker_size = 4};
  seeds.push_back(
      {"markers", kallsyms_input(test::build_kallsyms(more, marked, kKallsymsStart), marked, kText)});
  return seeds;
}

// --- the kernel's log ---

template <typename Log>
std::vector<std::byte> printk_input(PrintkInput head, Log log) {
  if constexpr (!std::is_same_v<Log, test::PrintkText>)
    exchange(log.layout,
             [&](size_t index, uint64_t& number) { head.numbers.at(index) = static_cast<uint16_t>(number); });
  ByteWriter out;
  out.u32(head.flags);
  out.u32(head.form);
  for (const uint16_t number : head.numbers) out.u16(number);
  out.bytes(log.bytes);
  return out.take();
}

std::vector<Seed> printk_seeds() {
  std::vector<Seed> seeds;
  for (uint32_t flags = 0; flags < 8; ++flags) {
    PrintkInput head;
    head.flags = flags;
    const test::PrintkShape shape = shape_of(head);
    test::PrintkRing ring(shape);
    test::PrintkRecords records(shape);
    test::PrintkText text(shape);
    for (int i = 0; i < 11; ++i) {
      ring.add(fmt::format("record {}", i));
      records.add(fmt::format("record {}", i), "DEVICE=c4:64");
      text.add(fmt::format("<6>[    1.00000{}] line of text\n", i % 10));
    }
    seeds.push_back({fmt::format("ring-{}", flags), printk_input(head, ring)});
    head.form = PrintkInput::records;
    seeds.push_back({fmt::format("records-{}", flags), printk_input(head, records)});
    head.form = PrintkInput::text;
    seeds.push_back({fmt::format("text-{}", flags), printk_input(head, text)});
  }
  return seeds;
}

// --- page tables ---

std::vector<std::byte> page_tables_input(const PageTablesInput& head, const test::PhysicalMemory& memory,
                                         uint64_t size) {
  ByteWriter out;
  for (const uint64_t field : {head.flags, head.root, head.first, head.last, head.probe}) out.u64(field);
  std::vector<std::byte> bytes(size);
  memory.read(0, bytes);
  out.bytes(bytes);
  return out.take();
}

// Pages of each size, a PROT_NONE and a swap entry, and a table that is not there.
Seed page_tables_seed(unsigned levels, uint64_t flags, uint64_t mask, bool upper) {
  test::PhysicalMemory memory;
  uint64_t end = 0x1000;
  test::PageTables tables(memory, 0, levels, mask, [&] { return std::exchange(end, end + 0x1000); });
  const uint64_t half = uint64_t{1} << (levels == 4 ? 47 : 56);
  const uint64_t base = upper ? ~(half - 1) : 0;
  constexpr uint64_t kGiB = uint64_t{1} << 30;
  tables.map_page(base + kGiB, 0, 3);
  tables.map_page(base + 0x200000, 0x200000, 2);
  tables.map_page(base + 0x3000, 0x1000, 1);
  tables.map_page(base + 0x4000, 0x2000, 1);
  tables.map_prot_none(base + 0x5000, 0x1000, 1);
  tables.map_swap(base + 0x6000, 1, 0x1234);
  tables.set_entry(base + 2 * kGiB, 3, tables.table_entry(uint64_t{1} << 40));
  const PageTablesInput head{flags, 0, upper ? base : 0, upper ? UINT64_MAX : half - 1, base + 0x3010};
  return {fmt::format("{}-{}-{}", levels, flags, upper ? "upper" : "lower"),
          page_tables_input(head, memory, end)};
}

// The same for arm64: the kernel's half, 4 KiB pages and 48 bits, or 52 with a fifth level of 16 entries.
Seed arm64_page_tables_seed(bool is_large) {
  constexpr uint64_t kTable = 3, kPage = 0x413, kBlock = 0x411;
  constexpr uint64_t kBits48 = 4, kBits52 = 5;  // by their places in the target's list
  test::PhysicalMemory memory;
  uint64_t top = 0x1000;
  if (is_large) memory.put64(0, top | kTable);
  if (!is_large) top = 0;
  memory.put64(top, 0x2000 | kTable);
  memory.put64(0x2000, 0x3000 | kTable);
  memory.put64(0x2008, kBlock);  // 1 GiB
  memory.put64(0x3000, 0x4000 | kTable);
  memory.put64(0x3008, 0x200000 | kBlock);
  memory.put64(0x3010, (uint64_t{1} << 40) | kTable);  // not there
  memory.put64(0x4018, 0x1000 | kPage);
  memory.put64(0x4020, 0x2000 | kPage);
  memory.put64(0x4028, (0x1000 | kPage) - 1);  // taken out of the map
  const uint64_t base = ~uint64_t{0} << (is_large ? 52 : 48);
  const uint64_t flags = PageTablesInput::arm64 + PageTablesInput::kBitsOf * (is_large ? kBits52 : kBits48);
  const PageTablesInput head{flags, 0, base, UINT64_MAX, base + 0x3010};
  return {fmt::format("arm64-{}", is_large ? 52 : 48), page_tables_input(head, memory, 0x5000)};
}

// The same with pages of 64 KiB and 48 bits of 52: the tables begin within the top one.
Seed arm64_48_of_52_page_tables_seed() {
  constexpr uint64_t k64KiB = 2, kBits48 = 4;  // by their places in the target's lists
  constexpr uint64_t kTable = 0x10000, kBlock = 0x20000000;
  test::PhysicalMemory memory;
  uint64_t end = kTable;
  test::PageTables tables(memory, 0, test::kArm64Entries, {16, 52},
                          [&] { return std::exchange(end, end + kTable); });
  const uint64_t base = ~uint64_t{0} << 48;
  tables.map_page(base + kBlock, kBlock, 2);
  tables.map_page(base + 3 * kTable, kTable, 1);
  tables.map_page(base + 4 * kTable, 2 * kTable, 1);
  tables.map_prot_none(base + 5 * kTable, kTable, 1);
  tables.set_entry(base + 2 * kBlock, 2, tables.table_entry(uint64_t{1} << 40));
  const uint64_t flags = PageTablesInput::arm64 + PageTablesInput::built_52 +
                         PageTablesInput::kPageSizeOf * k64KiB + PageTablesInput::kBitsOf * kBits48;
  const PageTablesInput head{flags, 0, base, UINT64_MAX, base + 3 * kTable + 0x10};
  return {"arm64-48-of-52", page_tables_input(head, memory, end)};
}

// The same for riscv64, and 16 entries for one page of 64 KiB.
Seed riscv64_page_tables_seed(uint64_t bits) {
  constexpr uint64_t kTable = 1, kPage = 0xe7, kNapot = uint64_t{1} << 63;
  const auto entry = [](uint64_t phys, uint64_t flags) { return phys >> 12 << 10 | flags; };
  test::PhysicalMemory memory;
  uint64_t top = 0;
  // The upper half's first entry of the root, then the first of each table down to level 3.
  for (uint64_t at = bits; at > 39; at -= 9) {
    memory.put64(top + (top == 0 ? 256 * 8 : 0), entry(top + 0x1000, kTable));
    top += 0x1000;
  }
  const uint64_t first = top + (top == 0 ? 256 * 8 : 0);
  memory.put64(first, entry(0x3000, kTable));
  memory.put64(first + 8, entry(0, kPage));  // 1 GiB
  memory.put64(0x3000, entry(0x4000, kTable));
  memory.put64(0x3008, entry(0x200000, kPage));
  memory.put64(0x3010, entry(uint64_t{1} << 40, kTable));  // not there
  memory.put64(0x4018, entry(0x1000, kPage));
  memory.put64(0x4020, entry(0x2000, kPage));
  memory.put64(0x4028, entry(0x1000, kPage) - 1);  // taken out of the map
  memory.put64(0x4030, uint64_t{0x1234} << 12 | uint64_t{1} << 7);
  for (uint64_t i = 16; i < 32; ++i) memory.put64(0x4000 + i * 8, entry(0x8000, kPage) | kNapot);
  const uint64_t base = ~uint64_t{0} << (bits - 1);
  const uint64_t flags = PageTablesInput::riscv64 + PageTablesInput::kBitsOf * (bits / 9 - 4);
  const PageTablesInput head{flags, 0, base, UINT64_MAX, base + 0x12345};
  return {fmt::format("riscv64-{}", bits), page_tables_input(head, memory, 0x5000)};
}

// The same for s390x, of 2 to 5 levels.
Seed s390x_page_tables_seed(unsigned levels) {
  constexpr uint64_t kTableSize = 0x4000, kPage = 0x3d, kLarge = 0x403, kInvalid = 0x20, kInvalidPage = 0x400;
  test::PhysicalMemory memory;
  const auto put = [&](uint64_t at, uint64_t entry) {
    std::array<std::byte, 8> bytes{};
    store(bytes.data(), entry, ByteOrder::big);
    memory.write(at, bytes);
  };
  // Of region tables only the first entry is looked at: what follows is of tables of other types.
  uint64_t at = 0;
  for (unsigned level = levels; level > 2; --level, at += 0x1000)
    put(at, (at + 0x1000) | uint64_t{level - 2} << 2 | 3);
  const uint64_t pages = at + kTableSize;
  for (uint64_t into = 0; into < kTableSize; into += 8) put(at + into, kInvalid);
  put(at, pages | 1);
  put(at + 8, 0x300000 | kLarge);
  put(at + 16, (uint64_t{1} << 40) | 1);  // not there
  const auto put_page = [&](uint64_t page, uint64_t entry) { put(pages + page * 8, entry); };
  for (uint64_t page = 0; page < 256; ++page) put_page(page, kInvalidPage);
  put_page(3, 0x1000 | kPage);
  put_page(4, 0x2000 | kPage);
  put_page(5, 0x1000 | kPage | kInvalidPage);  // taken out of the map
  put_page(6, 0x1234604);                      // in swap
  const uint64_t flags = PageTablesInput::s390x + PageTablesInput::kLevelsOf * (levels - 2);
  const PageTablesInput head{flags, 0, 0, (uint64_t{1} << 31) - 1, 0x3010};
  return {fmt::format("s390x-{}", levels), page_tables_input(head, memory, pages + 0x800)};
}

std::vector<Seed> page_tables_seeds() {
  constexpr uint64_t k47 = uint64_t{1} << 47;
  return {
      page_tables_seed(4, 0, 0, true),
      page_tables_seed(4, 0, 0, false),
      page_tables_seed(4, PageTablesInput::mask_47, k47, true),
      page_tables_seed(5, PageTablesInput::five_levels, 0, true),
      page_tables_seed(5, PageTablesInput::five_levels | PageTablesInput::mask_51, uint64_t{1} << 51, false),
      arm64_page_tables_seed(false),
      arm64_page_tables_seed(true),
      arm64_48_of_52_page_tables_seed(),
      riscv64_page_tables_seed(39),
      riscv64_page_tables_seed(48),
      riscv64_page_tables_seed(57),
      s390x_page_tables_seed(2),
      s390x_page_tables_seed(3),
      s390x_page_tables_seed(4),
      s390x_page_tables_seed(5)};
}

constexpr std::array kTargets = {Target{"elf", elf, elf_seeds},
                                 Target{"lime", lime, lime_seeds},
                                 Target{"avml", avml, avml_seeds},
                                 Target{"s390_dump", s390_dump, s390_dump_seeds},
                                 Target{"flattened", flattened, flattened_seeds},
                                 Target{"kdump", kdump, kdump_seeds},
                                 Target{"note_scan", note_scan, note_scan_seeds},
                                 Target{"vmcoreinfo", vmcoreinfo, vmcoreinfo_seeds},
                                 Target{"kallsyms", kallsyms, kallsyms_seeds},
                                 Target{"printk", printk, printk_seeds},
                                 Target{"symbol_file", symbol_file, symbol_file_seeds},
                                 Target{"config", config, config_seeds},
                                 Target{"btf", btf, btf_seeds},
                                 Target{"expression", expression, expression_seeds},
                                 Target{"qemu_cpu", qemu_cpu, qemu_cpu_seeds},
                                 Target{"page_tables", page_tables, page_tables_seeds},
                                 Target{"iomem", iomem, iomem_seeds},
                                 Target{"unwind", unwind, unwind_seeds},
                                 Target{"frames", frames, frames_seeds}};

}  // namespace

std::span<const Target> targets() {
  return kTargets;
}

}  // namespace kvista::fuzz
