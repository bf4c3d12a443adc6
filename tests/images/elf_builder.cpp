#include "images/elf_builder.h"

#include <algorithm>
#include <utility>

#include "images/byte_writer.h"

namespace kvista::test {
namespace {

constexpr uint16_t kExtendedCount = 0xffff;  // PN_XNUM
constexpr uint32_t kPtNote = 4;

struct Header {
  uint32_t type = 0;
  uint64_t offset = 0;
  uint64_t vaddr = 0;
  uint64_t paddr = 0;
  uint64_t file_size = 0;
  uint64_t memory_size = 0;
};

// Lays a file out and writes it.
class Writer {
 public:
  Writer(const ElfDescription& elf, Sink& sink)
      : elf_(elf), sink_(sink), wide_(elf.word_size == 8), notes_(note_bytes(elf.notes, elf.byte_order)) {}

  void run() {
    lay_out();
    write_file_header();
    write_program_headers();
    if (elf_.extended_count) write_section_header();
    sink_.write(notes_at_, notes_);
    sink_.set_size(end_);
    for (size_t i = 0; i < elf_.segments.size(); ++i)
      write_data(elf_.segments.at(i), headers_.at(first_load() + i));
    sink_.set_size(elf_.truncate.value_or(end_));
  }

 private:
  uint64_t file_header_size() const { return wide_ ? 64 : 52; }
  uint64_t section_header_size() const { return wide_ ? 64 : 40; }
  uint16_t program_header_size() const {
    return elf_.program_header_size.value_or(static_cast<uint16_t>(wide_ ? 56 : 32));
  }
  size_t first_load() const { return elf_.notes.empty() ? 0 : 1; }
  size_t count() const { return elf_.segments.size() + first_load(); }
  ByteWriter writer() const { return ByteWriter(elf_.byte_order, elf_.word_size); }

  uint64_t reserve(uint64_t size, uint64_t alignment) {
    end_ = (end_ + alignment - 1) / alignment * alignment;
    return std::exchange(end_, end_ + size);
  }

  void lay_out() {
    end_ = file_header_size();
    if (elf_.extended_count) section_at_ = reserve(section_header_size(), elf_.word_size);
    const uint64_t table = count() * program_header_size();
    if (!elf_.headers_last) table_at_ = reserve(table, elf_.word_size);
    notes_at_ = reserve(notes_.size(), 4);
    if (!elf_.notes.empty()) headers_.push_back({kPtNote, notes_at_, 0, 0, notes_.size(), 0});
    for (const ElfSegment& segment : elf_.segments) {
      const uint64_t file_size = segment.file_size.value_or(segment.memory_size);
      const uint64_t room = segment.in_file ? file_size : 0;
      const uint64_t at = segment.offset ? *segment.offset : reserve(room, elf_.alignment);
      if (segment.offset && segment.in_file) end_ = std::max(end_, at + file_size);
      headers_.push_back({segment.type, at, segment.vaddr, segment.paddr, file_size, segment.memory_size});
    }
    if (elf_.headers_last) table_at_ = reserve(table, elf_.word_size);
  }

  void write_file_header() {
    ByteWriter out = writer();
    out.text(
        "\x7f"
        "ELF");
    out.u8(wide_ ? 2 : 1);
    out.u8(elf_.byte_order == ByteOrder::little ? 1 : 2);
    out.u8(1);
    out.zeros(9);
    out.u16(elf_.type);
    out.u16(elf_.machine);
    out.u32(1);
    out.word(0);  // e_entry
    out.word(table_at_);
    out.word(section_at_);
    out.u32(0);  // e_flags
    out.u16(static_cast<uint16_t>(file_header_size()));
    out.u16(program_header_size());
    out.u16(elf_.extended_count ? kExtendedCount : static_cast<uint16_t>(count()));
    out.u16(static_cast<uint16_t>(elf_.extended_count ? section_header_size() : 0));
    out.u16(elf_.extended_count ? 1 : 0);
    out.u16(0);
    sink_.write(0, out.take());
  }

  void write_program_headers() {
    ByteWriter out = writer();
    for (const Header& header : headers_) {
      const uint64_t begin = out.size();
      out.u32(header.type);
      if (wide_) out.u32(0);  // p_flags
      out.word(header.offset);
      out.word(header.vaddr);
      out.word(header.paddr);
      out.word(header.file_size);
      out.word(header.memory_size);
      if (!wide_) out.u32(0);
      out.word(0);  // p_align
      const uint64_t written = out.size() - begin;
      if (program_header_size() > written) out.zeros(program_header_size() - written);
    }
    sink_.write(table_at_, out.take());
  }

  // Section header 0, whose sh_info holds the number of program headers.
  void write_section_header() {
    ByteWriter out = writer();
    out.zeros(wide_ ? 44 : 28);
    out.u32(static_cast<uint32_t>(count()));
    out.zeros(section_header_size() - out.size());
    sink_.write(section_at_, out.take());
  }

  void write_data(const ElfSegment& segment, const Header& header) {
    if (!segment.data || !segment.in_file) return;
    segment.data([&](uint64_t offset, std::span<const std::byte> bytes) {
      if (offset >= header.file_size) return;
      sink_.write(header.offset + offset,
                  bytes.first(std::min<uint64_t>(bytes.size(), header.file_size - offset)));
    });
  }

  const ElfDescription& elf_;
  Sink& sink_;
  bool wide_;
  std::vector<std::byte> notes_;
  std::vector<Header> headers_;
  uint64_t table_at_ = 0;
  uint64_t section_at_ = 0;
  uint64_t notes_at_ = 0;
  uint64_t end_ = 0;
};

}  // namespace

SegmentData data_of(std::vector<std::byte> bytes) {
  return [bytes = std::move(bytes)](const Emit& emit) { emit(0, bytes); };
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void write_elf(const ElfDescription& elf, Sink& sink) {
  Writer(elf, sink).run();
}

std::vector<std::byte> note_bytes(std::span<const ElfNote> notes, ByteOrder order) {
  ByteWriter out(order);
  for (const ElfNote& note : notes) {
    out.u32(static_cast<uint32_t>(note.name.size() + 1));
    out.u32(static_cast<uint32_t>(note.descriptor.size()));
    out.u32(note.type);
    out.text(note.name);
    out.u8(0);
    out.align(4);
    out.bytes(note.descriptor);
    out.align(4);
  }
  return out.take();
}

std::vector<std::byte> elf_bytes(const ElfDescription& elf) {
  MemorySink sink;
  write_elf(elf, sink);
  return sink.take();
}

}  // namespace kvista::test
