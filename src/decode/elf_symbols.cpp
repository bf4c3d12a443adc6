#include "decode/elf_symbols.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/cursor.h"
#include "base/error.h"
#include "decode/build_id.h"

namespace kvista::decode {
namespace {

// Of vmlinux with all its debug information: a few hundred sections, and some 20 MB of names.
constexpr uint64_t kMostSections = 1 << 18;
constexpr uint64_t kMostNames = uint64_t{256} << 20;
constexpr uint64_t kMostNotes = 1 << 16;
constexpr uint64_t kPiece = uint64_t{1} << 20;

constexpr uint32_t kSymbolTable = 2;  // SHT_SYMTAB
constexpr uint32_t kStringTable = 3;  // SHT_STRTAB
constexpr uint32_t kNote = 7;         // SHT_NOTE

struct Section {
  uint32_t type = 0;
  uint64_t flags = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  uint32_t link = 0;
};

// What class and byte order decide.
struct Shape {
  ByteOrder order = ByteOrder::little;
  unsigned word_size = 8;
  size_t header() const { return word_size == 8 ? 64 : 52; }
  size_t section() const { return word_size == 8 ? 64 : 40; }
  size_t symbol() const { return word_size == 8 ? 24 : 16; }
};

std::vector<std::byte> take(const FileReader& read, uint64_t offset, uint64_t size, const char* what) {
  std::vector<std::byte> bytes;
  // Piece by piece: a size that the file does not have takes no memory.
  while (bytes.size() < size) {
    const size_t done = bytes.size();
    bytes.resize(std::min(size, done + kPiece));
    const size_t got = read(offset + done, std::span(bytes).subspan(done));
    if (got < bytes.size() - done) throw FormatError(fmt::format("{} is cut", what), offset + done + got);
  }
  return bytes;
}

Shape shape_of(const FileReader& read) {
  const auto ident = take(read, 0, 16, "the ELF header");
  const auto file_class = std::to_integer<unsigned>(ident[4]);
  const auto data = std::to_integer<unsigned>(ident[5]);
  if (file_class < 1 || file_class > 2 || data < 1 || data > 2)
    throw FormatError(fmt::format("ELF class {} and byte order {} do not exist", file_class, data), 4);
  return {data == 1 ? ByteOrder::little : ByteOrder::big, file_class == 2 ? 8U : 4U};
}

Section take_section(const FileReader& read, const Shape& shape, uint64_t at) {
  const auto bytes = take(read, at, shape.section(), "the table of sections");
  Cursor in(bytes, shape.order, shape.word_size);
  Section section;
  in.skip(4);  // name
  section.type = in.u32();
  section.flags = in.word();
  in.word();  // address
  section.offset = in.word();
  section.size = in.word();
  section.link = in.u32();
  return section;
}

std::vector<Section> sections_of(const FileReader& read, const Shape& shape) {
  const auto bytes = take(read, 0, shape.header(), "the ELF header");
  Cursor in(bytes, shape.order, shape.word_size);
  in.skip(24 + size_t{2} * shape.word_size);  // ident, type, machine, version; entry, program headers
  const uint64_t table = in.word();
  in.skip(10);  // flags, size of this header, program headers
  const uint64_t size = in.u16();
  uint64_t count = in.u16();
  if (table == 0) return {};
  if (size < shape.section())
    throw FormatError(fmt::format("section headers of {} bytes do not exist", size), shape.header() - 6);
  // More than fit into 16 bits are counted in section 0.
  if (count == 0) count = take_section(read, shape, table).size;
  if (count > kMostSections) throw FormatError(fmt::format("{} sections make no sense", count), table);
  std::vector<Section> sections;
  for (uint64_t i = 0; i < count; ++i) sections.push_back(take_section(read, shape, table + i * size));
  return sections;
}

struct Symbol {
  uint32_t name = 0;
  uint64_t address = 0;
  bool counts = false;  // a variable or a function that is defined here
  unsigned binding = 0;
  uint16_t section = 0;
};

// The letter that nm(1) has: by the section's kind, a capital for what other files see.
char letter_of(const Symbol& symbol, std::span<const Section> sections) {
  constexpr unsigned kLocal = 0;  // STB_LOCAL
  constexpr unsigned kWeak = 2;   // STB_WEAK
  constexpr uint16_t kAbsolute = 0xfff1;
  constexpr uint64_t kWrite = 1;    // SHF_WRITE
  constexpr uint64_t kExecute = 4;  // SHF_EXECINSTR
  constexpr uint32_t kNoBits = 8;   // SHT_NOBITS
  char letter = 'n';
  if (symbol.section == kAbsolute) {
    letter = 'a';
  } else if (symbol.section < sections.size()) {
    const Section& section = sections[symbol.section];
    letter = (section.flags & kWrite) != 0 ? 'd' : 'r';
    if (section.type == kNoBits) letter = 'b';
    if ((section.flags & kExecute) != 0) letter = 't';
  }
  if (symbol.binding == kWeak) return letter == 't' ? 'W' : 'V';
  return symbol.binding == kLocal ? letter : static_cast<char>(letter - 'a' + 'A');
}

Symbol take_symbol(Cursor& in, const Shape& shape) {
  Symbol symbol;
  uint8_t info = 0;
  uint16_t section = 0;
  symbol.name = in.u32();
  const auto take_rest = [&] {
    info = in.u8();
    in.skip(1);
    section = in.u16();
  };
  if (shape.word_size == 8) take_rest();
  symbol.address = in.word();
  in.word();  // size
  if (shape.word_size == 4) take_rest();
  constexpr unsigned kSectionName = 3;  // STT_SECTION; STT_FILE behind it
  constexpr unsigned kFileName = 4;
  const unsigned type = info & 0xf;
  symbol.binding = info >> 4;
  symbol.section = section;
  symbol.counts = section != 0 && type != kSectionName && type != kFileName;
  return symbol;
}

std::string_view name_at(std::span<const std::byte> names, uint64_t at) {
  if (at >= names.size()) return {};
  constexpr size_t kLongest = 1024;
  return as_text(names.subspan(at, std::min(kLongest, names.size() - at)));
}

void add_symbols(const FileReader& read, const Shape& shape, const Section& table,
                 std::span<const std::byte> strings, std::span<const Section> sections,
                 const std::set<std::string_view>& names, const VisitFileSymbol& visit, FoundSymbols& all) {
  const uint64_t per_piece = kPiece / shape.symbol();
  const uint64_t count = table.size / shape.symbol();
  for (uint64_t first = 0; first < count; first += per_piece) {
    const uint64_t here = std::min(per_piece, count - first);
    const auto bytes =
        take(read, table.offset + first * shape.symbol(), here * shape.symbol(), "the symbol table");
    Cursor in(bytes, shape.order, shape.word_size);
    for (uint64_t i = 0; i < here; ++i) {
      const Symbol symbol = take_symbol(in, shape);
      if (!symbol.counts) continue;
      ++all.count;
      if (symbol.address != 0) ++all.nonzero;
      const std::string_view text = name_at(strings, symbol.name);
      if (visit && !text.empty()) visit(VirtAddr{symbol.address}, letter_of(symbol, sections), text);
      const auto name = names.find(text);
      if (name != names.end()) all.addresses[std::string(*name)].insert(VirtAddr{symbol.address});
    }
  }
}

}  // namespace

FoundSymbols read_elf_symbols(const FileReader& read, std::span<const std::string_view> names,
                              const VisitFileSymbol& visit) {
  const Shape shape = shape_of(read);
  const auto sections = sections_of(read, shape);
  FoundSymbols all;
  for (const Section& section : sections) {
    if (section.type != kNote || section.size > kMostNotes || !all.build_id.empty()) continue;
    all.build_id = build_id_among(take(read, section.offset, section.size, "a section of notes"), shape.order)
                       .value_or("");
  }
  const auto table = std::find_if(sections.begin(), sections.end(),
                                  [](const Section& section) { return section.type == kSymbolTable; });
  if (table == sections.end()) return all;
  if (table->link >= sections.size() || sections[table->link].type != kStringTable ||
      sections[table->link].size > kMostNames)
    throw FormatError("the symbol table has no table of names", table->offset);
  const Section& strings = sections[table->link];
  const std::set<std::string_view> wanted(names.begin(), names.end());
  add_symbols(read, shape, *table, take(read, strings.offset, strings.size, "the table of names"), sections,
              wanted, visit, all);
  return all;
}

}  // namespace kvista::decode
