#include "image/kdump_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
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
constexpr uint64_t kTimeAt = 404;  // the end of utsname, before alignment
// nr_cpus stands behind nine 32-bit fields that follow the time.
constexpr uint64_t kCpusBehindTime = 36;
constexpr size_t kSubHeaderSize = 104;
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

constexpr uint16_t kI386 = 3;

struct Compression {
  uint32_t flag;
  codec::Codec codec;
};
constexpr std::array kCompressions = {
    Compression{0x1, codec::Codec::zlib}, Compression{0x2, codec::Codec::lzo},
    Compression{0x4, codec::Codec::snappy}, Compression{0x20, codec::Codec::zstd}};

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

// Where a compiler puts 64-bit fields of the sub header: 32-bit ABIs differ, and QEMU aligns them as i386
// does.
constexpr uint64_t kUsualAlignment = 8;
constexpr uint64_t kPackedAlignment = 4;

// Takes fields out of bytes; FieldWriter puts them there. What goes through both is described once, below.
class FieldReader {
 public:
  FieldReader(std::span<const std::byte> bytes, ByteOrder order, unsigned word_size)
      : in_(bytes, order, word_size) {}
  void text(std::string& field, size_t size) { field = as_text(in_.bytes(size)); }
  void u32(uint32_t& field) { field = in_.u32(); }
  void sized(uint64_t& field, unsigned size) { field = size == 8 ? in_.u64() : in_.u32(); }
  void align(uint64_t alignment) { in_.align(alignment); }
  void seek(uint64_t offset) { in_.seek(offset); }

 private:
  Cursor in_;
};

class FieldWriter {
 public:
  FieldWriter(std::span<std::byte> bytes, ByteOrder order) : out_(bytes), order_(order) {}
  void text(const std::string& field, size_t size) {
    const size_t length = std::min(field.size(), size);
    std::memcpy(take(size), field.data(), length);
  }
  void u32(uint32_t field) { store(take(4), field, order_); }
  // A 32-bit field holds what fits: readers of newer versions look at the 64-bit one.
  void sized(uint64_t field, unsigned size) {
    if (size == 8)
      store(take(8), field, order_);
    else
      u32(static_cast<uint32_t>(std::min<uint64_t>(field, UINT32_MAX)));
  }
  void align(uint64_t alignment) { at_ = (at_ + alignment - 1) & ~(alignment - 1); }
  void seek(uint64_t offset) { at_ = offset; }

 private:
  std::byte* take(size_t size) {
    std::byte* here = &out_[at_];
    at_ += size;
    return here;
  }
  std::span<std::byte> out_;
  ByteOrder order_;
  size_t at_ = 0;
};

// struct disk_dump_header.
template <typename Fields, typename Header>
void main_fields(Fields& fields, Header& header, const Layout& layout) {
  fields.text(header.signature, kSignature.size());
  fields.u32(header.version);
  for (auto& field : header.utsname) fields.text(field, kUtsLength);
  fields.seek(kTimeAt);
  fields.align(layout.time_alignment);
  fields.sized(header.seconds, layout.time_size);
  fields.sized(header.microseconds, layout.time_size);
  fields.u32(header.status);
  fields.u32(header.block_size);
  fields.u32(header.sub_header_blocks);
  fields.u32(header.bitmap_blocks);
  fields.sized(header.max_mapnr, 4);
  fields.seek(kTimeAt + (layout.time_alignment - kTimeAt % layout.time_alignment) % layout.time_alignment +
              uint64_t{2} * layout.time_size + kCpusBehindTime);
  fields.u32(header.cpus);
}

// struct kdump_sub_header, as far as the header's version has it.
template <typename Fields, typename Header>
void sub_fields(Fields& fields, Header& header, uint64_t alignment) {
  const auto has = [&](uint32_t version) { return header.version >= version; };
  const auto wide = [&](auto& field) {
    fields.align(alignment);
    fields.sized(field, 8);
  };
  const auto part = [&](auto& place) {
    wide(place.offset);
    fields.sized(place.size, header.word_size);
  };
  fields.sized(header.phys_base, header.word_size);
  fields.u32(header.dump_level);
  if (has(2)) {
    fields.u32(header.split);
    fields.sized(header.start.value, header.word_size);
    fields.sized(header.end.value, header.word_size);
  }
  if (has(3)) part(header.vmcoreinfo);
  if (has(4)) part(header.notes);
  if (has(5)) part(header.eraseinfo);
  if (!has(6)) return;
  wide(header.start.value);
  wide(header.end.value);
  wide(header.max_mapnr);
}

KdumpHeader parse(std::span<const std::byte> bytes, ByteOrder order, const Layout& layout) {
  KdumpHeader header;
  header.byte_order = order;
  header.word_size = layout.word_size;
  FieldReader fields(bytes, order, layout.word_size);
  main_fields(fields, header, layout);
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
  FieldReader fields(bytes, header.byte_order, header.word_size);
  const uint64_t narrow_count = header.max_mapnr;
  sub_fields(fields, header, alignment);
  if (header.max_mapnr == 0) header.max_mapnr = narrow_count;
}

bool fits(const FilePart& part, uint64_t size) {
  return part.offset <= size && part.size <= size - part.offset;
}

bool is_plausible(const KdumpHeader& header, uint64_t size) {
  return fits(header.vmcoreinfo, size) && fits(header.notes, size) && fits(header.eraseinfo, size) &&
         header.max_mapnr <= header.bitmap_size() * 8 && (header.split == 0 || header.start <= header.end);
}

void read_sub_header(const File& file, KdumpHeader& header) {
  std::vector<std::byte> bytes(kSubHeaderSize);
  if (file.read_at(header.block_size, bytes) != bytes.size())
    throw FormatError(fmt::format("{}: the kdump sub header is cut off: the file is cut short", file.path()),
                      header.block_size);
  KdumpHeader parsed = header;
  parse_sub_header(bytes, kUsualAlignment, parsed);
  if (header.word_size == 4) {
    KdumpHeader packed = header;
    parse_sub_header(bytes, kPackedAlignment, packed);
    const bool is_x86 = elf_machine_of(header.machine()) == kI386;
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
  if (header.split != 0 && (header.start > header.end || header.start.value > header.max_mapnr))
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
  header.end = header.split != 0 ? std::min(header.end, Pfn{header.max_mapnr}) : Pfn{header.max_mapnr};
  if (header.split == 0) header.start = Pfn{0};
  return header;
}

uint32_t kdump_flag_of(codec::Codec codec) {
  for (const Compression& known : kCompressions)
    if (known.codec == codec) return known.flag;
  return 0;
}

std::optional<codec::Codec> codec_of_kdump_flags(uint32_t flags) {
  for (const Compression& known : kCompressions)
    if (known.flag == flags) return known.codec;
  return std::nullopt;
}

uint64_t kdump_notes_at(const KdumpHeader& header) {
  return header.block_size + kSubHeaderSize;
}

std::vector<std::byte> kdump_header_bytes(const KdumpHeader& header) {
  // Whatever the host: a 64-bit machine's layout, or that of a 32-bit one with its own alignment.
  const Layout layout = header.word_size == 8 ? kLayouts[0] : kLayouts[1];
  const bool packed = header.word_size == 4 && elf_machine_of(header.machine()) == kI386;
  std::vector<std::byte> bytes(header.block_size + kSubHeaderSize);
  FieldWriter main(bytes, header.byte_order);
  main_fields(main, header, layout);
  const auto behind = std::span<std::byte>(bytes).subspan(header.block_size);
  FieldWriter sub(behind, header.byte_order);
  sub_fields(sub, header, packed ? kPackedAlignment : kUsualAlignment);
  return bytes;
}

uint16_t elf_machine_of(const std::string& machine) {
  const KnownMachine* known = find_machine(machine);
  return known == nullptr ? 0 : known->elf_machine;
}

}  // namespace kvista::image
