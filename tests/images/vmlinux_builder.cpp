#include "images/vmlinux_builder.h"

#include "images/byte_writer.h"
#include "images/elf_builder.h"

namespace kvista::test {
namespace {

struct Section {
  uint32_t type = 0;
  std::vector<std::byte> bytes;
  uint32_t link = 0;
};

class Symbols {
 public:
  explicit Symbols(const VmlinuxShape& shape) : shape_(shape), table_(shape.order, shape.word_size) {
    names_.u8(0);
    add("", 0, 0, 0);
  }
  void add(const std::string& name, uint64_t address, unsigned type, unsigned section) {
    const size_t at = names_.size();
    names_.text(name);
    names_.u8(0);
    constexpr unsigned kGlobal = 1;
    const auto info = static_cast<uint8_t>(kGlobal << 4 | type);
    table_.u32(static_cast<uint32_t>(at));
    const auto rest = [&] {
      table_.u8(info);
      table_.u8(0);
      table_.u16(static_cast<uint16_t>(section));
    };
    if (shape_.word_size == 8) rest();
    table_.word(address);
    table_.word(8);
    if (shape_.word_size == 4) rest();
  }
  std::vector<std::byte> table() { return table_.take(); }
  std::vector<std::byte> names() { return names_.take(); }

 private:
  const VmlinuxShape& shape_;
  ByteWriter table_;
  ByteWriter names_;
};

std::vector<std::byte> from_hex(const std::string& text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

void write_header(ByteWriter& out, const VmlinuxShape& shape, uint64_t table, uint64_t count) {
  out.text(
      "\x7f"
      "ELF");
  out.u8(shape.word_size == 8 ? 2 : 1);
  out.u8(shape.order == ByteOrder::little ? 1 : 2);
  out.u8(1);
  out.zeros(9);
  out.u16(2);   // ET_EXEC
  out.u16(62);  // EM_X86_64
  out.u32(1);
  out.word(0);
  out.word(0);
  out.word(table);
  out.u32(0);
  out.u16(shape.word_size == 8 ? 64 : 52);
  out.u16(0);
  out.u16(0);
  out.u16(shape.word_size == 8 ? 64 : 40);
  out.u16(static_cast<uint16_t>(shape.counted_in_first ? 0 : count));
  out.u16(0);
}

}  // namespace

std::vector<std::byte> vmlinux_bytes(std::span<const Symbol> symbols, const VmlinuxShape& shape) {
  Symbols all(shape);
  constexpr unsigned kObject = 1;
  constexpr unsigned kSourceFile = 4;
  for (const Symbol& symbol : symbols) all.add(symbol.name, symbol.address, kObject, 1);
  if (!symbols.empty()) {
    all.add(symbols.front().name, 0x1234, kObject, 0);
    all.add(symbols.front().name, 0x5678, kSourceFile, 0xfff1);
  }
  const std::vector<ElfNote> notes = {{"Linux", 257, {}}, {"GNU", 3, from_hex(shape.build_id)}};
  std::vector<Section> sections = {{}, {1, {}, 0}, {7, note_bytes(notes, shape.order), 0}};
  if (!shape.stripped) {
    sections.push_back({2, all.table(), 4});
    sections.push_back({3, all.names(), 0});
  }
  const uint64_t header = shape.word_size == 8 ? 64 : 52;
  uint64_t at = header;
  for (const Section& section : sections) at += (section.bytes.size() + 7) / 8 * 8;
  ByteWriter out(shape.order, shape.word_size);
  write_header(out, shape, at, sections.size());
  for (const Section& section : sections) {
    out.bytes(section.bytes);
    out.zeros((section.bytes.size() + 7) / 8 * 8 - section.bytes.size());
  }
  at = header;
  for (const Section& section : sections) {
    const bool first = &section == &sections.front();
    out.u32(0);
    out.u32(section.type);
    out.word(0);
    out.word(0);
    out.word(at);
    out.word(first && shape.counted_in_first ? sections.size() : section.bytes.size());
    out.u32(section.link);
    out.u32(0);
    out.word(1);
    out.word(0);
    at += (section.bytes.size() + 7) / 8 * 8;
  }
  return out.take();
}

}  // namespace kvista::test
