// Statements on the file, and on the files of the running system.
#include "images/statement.h"

namespace kvista::test {
namespace {

void parse_format(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, FileFormat>, 5> kFormats = {
      {{"elf", FileFormat::elf},
       {"lime", FileFormat::lime},
       {"avml", FileFormat::avml},
       {"raw", FileFormat::raw},
       {"kdump", FileFormat::kdump}}};
  out.flattened = words.word("flattened");
  out.format = words.empty() && out.flattened ? FileFormat::elf : choose(kFormats, words.next());
  if (out.flattened && out.format != FileFormat::elf && out.format != FileFormat::kdump)
    throw DescriptionError("only ELF and kdump files are flattened");
}

std::vector<codec::Codec> parse_codecs(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, codec::Codec>, 4> kCodecs = {
      {{"zlib", codec::Codec::zlib},
       {"lzo", codec::Codec::lzo},
       {"snappy", codec::Codec::snappy},
       {"zstd", codec::Codec::zstd}}};
  std::vector<codec::Codec> codecs;
  if (text == "none") return codecs;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    codecs.push_back(choose(kCodecs, text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return codecs;
}

void parse_kdump(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, ByteOrder>, 2> kOrders = {
      {{"little", ByteOrder::little}, {"big", ByteOrder::big}}};
  KdumpLine& kdump = out.kdump;
  if (words.word("exclude")) {
    for (const Range& range : parse_ranges(words)) kdump.excluded.push_back(range);
    return;
  }
  words.number("version", kdump.version);
  words.number("level", kdump.level);
  words.number("words", kdump.word_size);
  words.number("split", kdump.parts);
  if (const auto size = words.option("block")) kdump.block_size = static_cast<uint32_t>(parse_size(*size));
  if (const auto pages = words.option("pages")) kdump.pages_written = parse_size(*pages);
  if (const auto machine = words.option("machine")) kdump.machine = *machine;
  if (const auto order = words.option("order")) kdump.byte_order = choose(kOrders, *order);
  if (const auto codecs = words.option("codec")) kdump.codecs = parse_codecs(*codecs);
  if (kdump.parts == 0) throw DescriptionError("a dump has one part at least");
}

// "segments STYLE ..." starts anew; "segments with ..." changes what is there.
void parse_segments(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, SegmentStyle>, 3> kStyles = {
      {{"qemu", SegmentStyle::qemu}, {"vmcore", SegmentStyle::vmcore}, {"kcore", SegmentStyle::kcore}}};
  SegmentsLine& segments = out.segments;
  if (const std::string style = words.next(); style != "with") {
    segments = {};
    segments.style = choose(kStyles, style);
  }
  if (const auto vaddr = words.option("vaddr")) segments.vaddr_is_paddr = *vaddr == "paddr";
  words.flag("text", segments.text);
  words.flag("ram", segments.ram);
  words.flag("vmalloc", segments.vmalloc);
  words.flag("modules", segments.modules);
  words.flag("vmemmap", segments.vmemmap);
  words.flag("vsyscall", segments.vsyscall);
  words.flag("ram_vaddr", segments.ram_vaddr);
  words.number("remap", segments.remap);
  words.number("text_vaddr", segments.text_vaddr);
  words.number("page_offset", segments.page_offset);
  words.number("vmalloc_start", segments.vmalloc_start);
  words.number("modules_start", segments.modules_start);
  words.number("vmemmap_start", segments.vmemmap_start);
  words.flag("headers_last", segments.headers_last);
  words.flag("xnum", segments.extended_count);
}

void parse_system(Words& words, Description& out) {
  const std::string verb = words.next();
  if (verb == "none") {
    out.system_none = true;
  } else if (verb == "omit") {
    for (const std::string& name : words.rest()) out.system_omit.insert(name);
  } else if (verb == "set") {
    const auto [name, value] = split(words.joined(), '=');
    out.system[name] = value;
    out.system_omit.erase(name);
  } else {
    throw DescriptionError(fmt::format("system {}: unknown", verb));
  }
}

constexpr std::array kStatements = {
    Statement{"segments", parse_segments}, Statement{"format", parse_format}, Statement{"kdump", parse_kdump},
    Statement{"system", parse_system},
    Statement{"truncate", [](Words& words, Description& out) { out.truncate = parse_size(words.next()); }}};

}  // namespace

std::span<const Statement> file_statements() {
  return kStatements;
}

}  // namespace kvista::test
