#include "image/elf_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/cursor.h"
#include "base/error.h"

namespace kvista::image {
namespace {

constexpr size_t kIdentSize = 16;
constexpr uint16_t kTypeCore = 4;
constexpr uint16_t kProgramHeadersElsewhere = 0xffff;  // PN_XNUM
constexpr uint64_t kMaxProgramHeaders = uint64_t{1} << 22;

struct FileHeader {
  uint16_t type = 0;
  uint16_t machine = 0;
  uint64_t phoff = 0;
  uint64_t shoff = 0;
  uint16_t phentsize = 0;
  uint64_t phnum = 0;
};

std::vector<std::byte> read_exactly(const File& file, uint64_t offset, uint64_t size, const char* what) {
  std::vector<std::byte> bytes(size);
  const size_t got = file.read_at(offset, bytes);
  if (got == size) return bytes;
  throw FormatError(
      fmt::format("{}: the {} at offset {:#x} should have {} bytes, and {} could be read: the file is "
                  "cut short or damaged",
                  file.path(), what, offset, size, got),
      offset + got);
}

const char* describe_type(uint16_t type) {
  switch (type) {
    case 1:
      return "an object file";
    case 2:
      return "an executable, for example a vmlinux";
    case 3:
      return "a shared object";
    default:
      return "an ELF file of another type";
  }
}

FileHeader parse_file_header(const File& file, ElfCore& core) {
  std::array<std::byte, 64> head{};
  const size_t got = file.read_at(0, head);
  if (got < kIdentSize)
    throw FormatError(fmt::format("{}: {} bytes long, too short for an ELF header", file.path(), got), got);
  const auto ident = [&](size_t i) { return std::to_integer<unsigned>(head.at(i)); };
  if (ident(4) != 1 && ident(4) != 2)
    throw FormatError(fmt::format("{}: unknown ELF class {}: the file is damaged", file.path(), ident(4)), 4);
  if (ident(5) != 1 && ident(5) != 2)
    throw FormatError(
        fmt::format("{}: unknown ELF byte order {}: the file is damaged", file.path(), ident(5)), 5);
  core.word_size = ident(4) == 1 ? 4 : 8;
  core.byte_order = ident(5) == 1 ? ByteOrder::little : ByteOrder::big;

  Cursor in{std::span(head).first(got), core.byte_order, core.word_size};
  in.skip(kIdentSize);
  FileHeader header;
  header.type = in.u16();
  header.machine = in.u16();
  in.skip(4);  // e_version
  in.word();   // e_entry
  header.phoff = in.word();
  header.shoff = in.word();
  core.flags = in.u32();
  in.u16();  // e_ehsize: QEMU 7.2 writes 8 here
  header.phentsize = in.u16();
  header.phnum = in.u16();
  if (!in.ok())
    throw FormatError(
        fmt::format("{}: the ELF header is cut off after {} bytes: the file is cut short", file.path(), got),
        got);
  return header;
}

// With PN_XNUM the number of program headers is the sh_info of section header 0.
uint64_t count_program_headers(const File& file, const ElfCore& core, const FileHeader& header) {
  if (header.phnum != kProgramHeadersElsewhere) return header.phnum;
  if (header.shoff == 0) return header.phnum;
  const uint64_t info_at = core.word_size == 4 ? 28 : 44;
  const auto section = read_exactly(file, header.shoff, info_at + 4, "section header 0");
  Cursor in(section, core.byte_order, core.word_size);
  in.seek(info_at);
  return in.u32();
}

ProgramHeader parse_program_header(Cursor in, unsigned word_size) {
  ProgramHeader ph;
  ph.type = in.u32();
  if (word_size == 8) in.skip(4);  // p_flags stands here in ELF64
  ph.offset = in.word();
  ph.vaddr = in.word();
  ph.paddr = in.word();
  ph.file_size = in.word();
  ph.memory_size = in.word();
  return ph;
}

void read_program_headers(const File& file, uint64_t size, const FileHeader& header, ElfCore& core) {
  const uint64_t count = count_program_headers(file, core, header);
  const uint64_t least = core.word_size == 4 ? 32 : 56;
  if (count == 0)
    throw FormatError(
        fmt::format("{}: an ELF core file without program headers: it holds no memory", file.path()),
        header.phoff);
  if (header.phentsize < least)
    throw FormatError(
        fmt::format("{}: program headers of {} bytes, at least {} are needed: the file is damaged",
                    file.path(), header.phentsize, least),
        header.phoff);
  if (count > kMaxProgramHeaders || header.phoff > size || count * header.phentsize > size - header.phoff)
    throw FormatError(
        fmt::format("{}: {} program headers at offset {:#x} do not fit the file ({} bytes): it is cut "
                    "short or damaged",
                    file.path(), count, header.phoff, size),
        header.phoff);
  const auto table = read_exactly(file, header.phoff, count * header.phentsize, "program header table");
  core.program_headers.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const auto one = std::span(table).subspan(i * header.phentsize, header.phentsize);
    core.program_headers.push_back(
        parse_program_header(Cursor(one, core.byte_order, core.word_size), core.word_size));
  }
}

// Reads a PT_NOTE segment through a window, so that a segment of any size costs little memory.
class NoteReader {
 public:
  static constexpr uint64_t kHeaderSize = 12;

  NoteReader(const File& file, ByteOrder order, uint64_t offset, uint64_t size)
      : file_(file), order_(order), at_(offset), end_(offset + size) {}

  // The next note; false at the end or where the bytes make no sense.
  bool next(Note& note) {
    const auto header = window(kHeaderSize);
    if (header.size() < kHeaderSize) return false;
    Cursor in(header, order_);
    const uint64_t name_size = in.u32();
    const uint64_t descriptor_size = in.u32();
    note.type = in.u32();
    const uint64_t whole = kHeaderSize + padded(name_size) + descriptor_size;
    if (name_size > kMaxName || whole > end_ - at_) return false;
    if (name_size == 0 && descriptor_size == 0 && note.type == 0) return false;  // zero padding ends the list
    const auto name = window(kHeaderSize + name_size);
    if (name.size() < kHeaderSize + name_size) return false;
    note.name = as_text(name.subspan(kHeaderSize));
    note.offset = at_ + kHeaderSize + padded(name_size);
    note.size = descriptor_size;
    at_ += std::min(kHeaderSize + padded(name_size) + padded(descriptor_size), end_ - at_);
    return true;
  }
  uint64_t left() const { return end_ - at_; }

 private:
  static constexpr uint64_t kMaxName = 256;
  static constexpr uint64_t kWindow = 16384;
  static uint64_t padded(uint64_t size) { return (size + 3) & ~uint64_t{3}; }

  // `size` bytes at the current place, fewer at the end.
  std::span<const std::byte> window(uint64_t size) {
    size = std::min(size, end_ - at_);
    if (at_ < base_ || at_ + size > base_ + buffer_.size()) {
      base_ = at_;
      buffer_.resize(std::min(kWindow, end_ - at_));
      buffer_.resize(file_.read_at(base_, buffer_));
    }
    const uint64_t into = at_ - base_;
    return std::span(buffer_).subspan(into, std::min<uint64_t>(size, buffer_.size() - into));
  }

  const File& file_;
  ByteOrder order_;
  uint64_t at_;
  uint64_t end_;
  uint64_t base_ = 0;
  std::vector<std::byte> buffer_;
};

void read_notes(const File& file, uint64_t size, ElfCore& core) {
  for (const ProgramHeader& ph : core.program_headers) {
    if (ph.type != kPtNote || ph.file_size == 0) continue;
    if (ph.offset >= size) {
      core.warnings.push_back(
          fmt::format("the notes at offset {:#x} are beyond the end of the file", ph.offset));
      continue;
    }
    NoteReader reader(file, core.byte_order, ph.offset, std::min(ph.file_size, size - ph.offset));
    Note note;
    // As many as the file's bytes can hold: several program headers may name the same ones.
    while (core.notes.size() < size / NoteReader::kHeaderSize && reader.next(note))
      core.notes.push_back(note);
    // A crash kernel merges per-CPU notes of fixed size, zero-padded: a tail of zeros is no defect.
    if (ph.file_size > size - ph.offset)
      core.warnings.push_back(
          fmt::format("the notes at offset {:#x} are cut short by the end of the file", ph.offset));
  }
}

}  // namespace

bool looks_like_elf(std::span<const std::byte> head) {
  constexpr std::string_view kMagic =
      "\x7f"
      "ELF";
  return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

ElfCore read_elf_core(const File& file, uint64_t size) {
  ElfCore core;
  const FileHeader header = parse_file_header(file, core);
  if (header.type != kTypeCore)
    throw FormatError(
        fmt::format("{}: {}, not a memory image (ELF type {}, a core file has {}): give the dump itself",
                    file.path(), describe_type(header.type), header.type, kTypeCore),
        kIdentSize);
  core.machine = header.machine;
  read_program_headers(file, size, header, core);
  read_notes(file, size, core);
  return core;
}

std::vector<Note> read_note_list(const File& file, ByteOrder order, uint64_t offset, uint64_t size) {
  std::vector<Note> notes;
  if (offset >= file.size()) return notes;
  NoteReader reader(file, order, offset, std::min(size, file.size() - offset));
  Note note;
  while (reader.next(note)) notes.push_back(note);
  return notes;
}

namespace {

// Numbers one after another, in a byte order; words have the machine's size.
class Packer {
 public:
  Packer(ByteOrder order, unsigned word_size) : order_(order), word_size_(word_size) {}

  template <typename Number>
  Packer& put(Number number) {
    bytes_.resize(bytes_.size() + sizeof(Number));
    store(&bytes_[bytes_.size() - sizeof(Number)], number, order_);
    return *this;
  }
  Packer& word(uint64_t number) {
    return word_size_ == 8 ? put<uint64_t>(number) : put(static_cast<uint32_t>(number));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  ByteOrder order_;
  unsigned word_size_;
  std::vector<std::byte> bytes_;
};

constexpr uint32_t kReadWriteExecute = 7;  // p_flags

}  // namespace

std::vector<std::byte> elf_header_bytes(const ElfCore& core, uint16_t count) {
  Packer out(core.byte_order, core.word_size);
  for (const int byte : {0x7f, int{'E'}, int{'L'}, int{'F'}, core.word_size == 8 ? 2 : 1,
                         core.byte_order == ByteOrder::little ? 1 : 2, 1})
    out.put(static_cast<uint8_t>(byte));
  for (size_t i = 7; i < kIdentSize; ++i) out.put(uint8_t{0});
  out.put(kTypeCore).put(core.machine).put(uint32_t{1});
  out.word(0).word(elf_header_size(core.word_size)).word(0).put(core.flags);
  out.put(static_cast<uint16_t>(elf_header_size(core.word_size)));
  out.put(static_cast<uint16_t>(program_header_size(core.word_size))).put(count);
  return out.put(uint16_t{0}).put(uint16_t{0}).put(uint16_t{0}).take();
}

std::vector<std::byte> program_header_bytes(const ProgramHeader& header, ByteOrder order,
                                            unsigned word_size) {
  const uint32_t flags = header.type == kPtLoad ? kReadWriteExecute : 0;
  Packer out(order, word_size);
  out.put(header.type);
  if (word_size == 8) out.put(flags);
  out.word(header.offset)
      .word(header.vaddr)
      .word(header.paddr)
      .word(header.file_size)
      .word(header.memory_size);
  if (word_size == 4) out.put(flags);
  return out.word(0).take();  // p_align
}

}  // namespace kvista::image
