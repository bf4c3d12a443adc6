#include "image/kdump_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>
#include <vector>

#include "base/cursor.h"
#include "base/error.h"

namespace kvista::image {
namespace {

constexpr std::string_view kSignature = "KDUMP   ";
// Older than kdump, with the same layout but for a sub header of its own.
constexpr std::string_view kOldSignature = "DISKDUMP";
constexpr size_t kUtsLength = 65;
constexpr uint32_t kNewestVersion = 6;
constexpr uint32_t kMostVersions = 0xffff;  // as a test of the byte order
constexpr uint32_t kLeastBlock = 4096;
constexpr uint32_t kMostBlock = 65536;
constexpr uint64_t kVersionAt = 8;
constexpr uint64_t kTimeAt = 404;       // the end of utsname, before alignment
constexpr unsigned kPhysicalBits = 56;  // more than any architecture has

// How a compiler lays the header out: the size of long, of the time's two words, and what these are aligned
// to.
struct Layout {
  unsigned word_size;
  unsigned time_size;
  unsigned time_alignment;
};
// In the order in which they are preferred.
constexpr std::array kLayouts = {Layout{8, 8, 8}, Layout{4, 4, 4},
                                 // 32-bit programs with 64-bit time_t.
                                 Layout{4, 8, 8}, Layout{4, 8, 4}};

struct KnownMachine {
  std::string_view name;  // how utsname begins
  uint16_t elf_machine;
  unsigned word_size;
};
// The longer name first where one begins another.
constexpr std::array kMachines = {
    KnownMachine{"x86_64", 62, 8},       KnownMachine{"i386", 3, 4},      KnownMachine{"i486", 3, 4},
    KnownMachine{"i586", 3, 4},          KnownMachine{"i686", 3, 4},      KnownMachine{"aarch64", 183, 8},
    KnownMachine{"arm", 40, 4},          KnownMachine{"ppc64", 21, 8},    KnownMachine{"ppc", 20, 4},
    KnownMachine{"s390x", 22, 8},        KnownMachine{"riscv64", 243, 8}, KnownMachine{"riscv32", 243, 4},
    KnownMachine{"loongarch64", 258, 8}, KnownMachine{"mips64", 8, 8},    KnownMachine{"mips", 8, 4},
    KnownMachine{"ia64", 50, 8},         KnownMachine{"sparc64", 43, 8}};

const KnownMachine* find_machine(std::string_view name) {
  for (const KnownMachine& known : kMachines)
    if (name.starts_with(known.name)) return &known;
  return nullptr;
}

[[noreturn]] void fail(const File& file, uint64_t offset, const std::string& what) {
  throw FormatError(fmt::format("{}: {}: the file is damaged", file.path(), what), offset);
}

bool is_block_size(uint32_t size) {
  return std::has_single_bit(size) && size >= kLeastBlock && size <= kMostBlock;
}

KdumpHeader parse(std::span<const std::byte> bytes, ByteOrder order, const Layout& layout) {
  KdumpHeader header;
  header.byte_order = order;
  header.word_size = layout.word_size;
  Cursor in(bytes, order, layout.word_size);
  header.signature = as_text(in.bytes(kSignature.size()));
  header.version = in.u32();
  for (std::string& field : header.utsname) field = as_text(in.bytes(kUtsLength));
  in.seek(kTimeAt);
  in.align(layout.time_alignment);
  header.seconds = layout.time_size == 8 ? in.u64() : in.u32();
  header.microseconds = layout.time_size == 8 ? in.u64() : in.u32();
  header.status = in.u32();
  header.block_size = in.u32();
  header.sub_header_blocks = in.u32();
  header.bitmap_blocks = in.u32();
  header.max_mapnr = in.u32();
  return header;
}

// How much speaks for a layout: a wrong one finds other fields in the places of these.
unsigned plausibility(const KdumpHeader& header) {
  constexpr uint32_t kMostSubHeader = 1U << 16;
  if (!is_block_size(header.block_size)) return 0;
  unsigned points = 1;
  points += header.sub_header_blocks > 0 && header.sub_header_blocks < kMostSubHeader ? 2 : 0;
  points += header.bitmap_blocks > 1 && header.bitmap_size() * 8 >= header.max_mapnr ? 2 : 0;
  const KnownMachine* machine = find_machine(header.machine());
  points += machine != nullptr && machine->word_size == header.word_size ? 1 : 0;
  return points;
}

KdumpHeader parse_main_header(const File& file) {
  std::vector<std::byte> bytes(kLeastBlock);
  bytes.resize(file.read_at(0, bytes));
  const auto version_in = [&](ByteOrder order) {
    Cursor in(bytes, order);
    in.seek(kVersionAt);
    return in.u32();
  };
  constexpr size_t kLongestHeader = 464;
  if (bytes.size() < kLongestHeader)
    throw FormatError(fmt::format("{}: a kdump header has {} bytes, and the file has {}: it is cut short",
                                  file.path(), kLongestHeader, bytes.size()),
                      bytes.size());
  // Version 0 reads the same in both orders: the rest decides.
  std::optional<KdumpHeader> best;
  unsigned most = 0;
  for (const ByteOrder order : {ByteOrder::little, ByteOrder::big}) {
    if (version_in(order) > kMostVersions) continue;
    for (const Layout& layout : kLayouts) {
      KdumpHeader header = parse(bytes, order, layout);
      const unsigned points = plausibility(header);
      if (best && points <= most) continue;
      best = std::move(header);
      most = points;
    }
  }
  if (!best)
    fail(file, kVersionAt, fmt::format("a kdump header of version {:#x}", version_in(ByteOrder::little)));
  return *best;
}

void check_main_header(const File& file, const KdumpHeader& header) {
  if (header.version > kNewestVersion)
    throw Unsupported(fmt::format(
        "{}: a kdump-compressed file of version {}, which is newer than this kvista: versions 1 to {} "
        "are read",
        file.path(), header.version, kNewestVersion));
  if (!is_block_size(header.block_size))
    fail(file, kTimeAt,
         fmt::format("the kdump header says pages of {} bytes, which no machine has", header.block_size));
  if (header.sub_header_blocks == 0 || header.bitmaps_at() > file.size())
    fail(file, kTimeAt,
         fmt::format("the kdump header says a sub header of {} blocks, which do not fit the file ({} bytes)",
                     header.sub_header_blocks, file.size()));
}

// A sub header where 64-bit fields are aligned to `alignment`.
void parse_sub_header(std::span<const std::byte> bytes, uint64_t alignment, KdumpHeader& header) {
  Cursor in(bytes, header.byte_order, header.word_size);
  const auto wide = [&] {
    in.align(alignment);
    return in.u64();
  };
  const auto part = [&] {
    const uint64_t offset = wide();
    return FilePart{offset, in.word()};
  };
  in.word();  // phys_base: VMCOREINFO says it
  header.dump_level = in.u32();
  const auto has = [&](uint32_t version) { return header.version >= version; };
  if (has(2)) {
    header.split = in.u32() != 0;
    header.start = Pfn{in.word()};
    header.end = Pfn{in.word()};
  }
  if (has(3)) header.vmcoreinfo = part();
  if (has(4)) header.notes = part();
  if (has(5)) header.eraseinfo = part();
  if (!has(6)) return;
  header.start = Pfn{wide()};
  header.end = Pfn{wide()};
  if (const uint64_t count = wide(); count != 0) header.max_mapnr = count;
}

bool fits(const FilePart& part, uint64_t size) {
  return part.offset <= size && part.size <= size - part.offset;
}

bool is_plausible(const KdumpHeader& header, uint64_t size) {
  return fits(header.vmcoreinfo, size) && fits(header.notes, size) && fits(header.eraseinfo, size) &&
         header.max_mapnr <= header.bitmap_size() * 8 && (!header.split || header.start <= header.end);
}

// 32-bit ABIs differ in what 64-bit fields are aligned to, and QEMU aligns them as i386 does for all.
void read_sub_header(const File& file, KdumpHeader& header) {
  constexpr size_t kSubHeaderSize = 104;
  std::vector<std::byte> bytes(kSubHeaderSize);
  if (file.read_at(header.block_size, bytes) != bytes.size())
    throw FormatError(fmt::format("{}: the kdump sub header is cut off: the file is cut short", file.path()),
                      header.block_size);
  KdumpHeader parsed = header;
  parse_sub_header(bytes, 8, parsed);
  if (header.word_size == 4) {
    KdumpHeader packed = header;
    parse_sub_header(bytes, 4, packed);
    const bool is_x86 = elf_machine_of(header.machine()) == 3;
    if (is_plausible(packed, file.size()) && (is_x86 || !is_plausible(parsed, file.size()))) parsed = packed;
  }
  header = parsed;
}

void check_bitmaps(const File& file, const KdumpHeader& header) {
  if (header.max_mapnr == 0) fail(file, header.block_size, "the kdump header says memory of no page at all");
  if (header.max_mapnr > header.bitmap_size() * 8)
    fail(file, header.block_size,
         fmt::format("the kdump header says {} page frames, and bitmaps of {} blocks have room for {}",
                     header.max_mapnr, header.bitmap_blocks, header.bitmap_size() * 8));
  if (header.max_mapnr > (uint64_t{1} << kPhysicalBits) / header.block_size)
    fail(file, header.block_size,
         fmt::format("the kdump header says {} page frames, more than any machine has", header.max_mapnr));
  if (header.descriptors_at() > file.size())
    throw FormatError(
        fmt::format(
            "{}: bitmaps of {} blocks at offset {:#x} do not fit the file ({} bytes): it is cut short "
            "or damaged",
            file.path(), header.bitmap_blocks, header.bitmaps_at(), file.size()),
        header.bitmaps_at());
  if (header.split && (header.start > header.end || header.start.value > header.max_mapnr))
    fail(file, header.block_size,
         fmt::format("the kdump header says a part with the page frames {:#x} to {:#x} of {:#x}",
                     header.start.value, header.end.value, header.max_mapnr));
}

}  // namespace

bool looks_like_kdump(std::span<const std::byte> head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  return text.starts_with(kSignature) || text.starts_with(kOldSignature);
}

KdumpHeader read_kdump_header(const File& file) {
  KdumpHeader header = parse_main_header(file);
  check_main_header(file, header);
  if (header.signature == kSignature) read_sub_header(file, header);
  check_bitmaps(file, header);
  header.end = header.split ? std::min(header.end, Pfn{header.max_mapnr}) : Pfn{header.max_mapnr};
  if (!header.split) header.start = Pfn{0};
  return header;
}

uint16_t elf_machine_of(const std::string& machine) {
  const KnownMachine* known = find_machine(machine);
  return known == nullptr ? 0 : known->elf_machine;
}

}  // namespace kvista::image
