#include "images/description.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace kvista::test {
namespace {

// The words of a statement, taken from the left. Words with '=' are options, which can stand anywhere.
class Words {
 public:
  explicit Words(std::string_view line) {
    while (!line.empty()) {
      const size_t end = std::min(line.find(' '), line.size());
      if (end > 0) words_.emplace_back(line.substr(0, end));
      line.remove_prefix(std::min(end + 1, line.size()));
    }
  }

  bool empty() const { return words_.empty(); }
  std::string next() {
    if (words_.empty()) throw DescriptionError("a word is missing");
    std::string word = std::move(words_.front());
    words_.erase(words_.begin());
    return word;
  }
  std::vector<std::string> rest() { return std::exchange(words_, {}); }
  std::string joined() {
    std::string text;
    for (const std::string& word : rest()) text += fmt::format("{}{}", text.empty() ? "" : " ", word);
    return text;
  }

  /// The value of option `name`, removed from the statement.
  std::optional<std::string> option(std::string_view name) {
    for (auto at = words_.begin(); at != words_.end(); ++at) {
      if (!at->starts_with(name) || at->size() <= name.size() || (*at)[name.size()] != '=') continue;
      std::string value = at->substr(name.size() + 1);
      words_.erase(at);
      return value;
    }
    return std::nullopt;
  }
  template <typename T>
  void number(std::string_view name, T& into) {
    if (const auto text = option(name)) into = static_cast<T>(parse_size(*text));
  }
  void number(std::string_view name, std::optional<uint64_t>& into) {
    if (const auto text = option(name)) into = parse_size(*text);
  }
  void flag(std::string_view name, bool& into) {
    if (const auto text = option(name)) into = *text == "yes";
  }
  bool word(std::string_view name) {
    const auto at = std::find(words_.begin(), words_.end(), name);
    if (at == words_.end()) return false;
    words_.erase(at);
    return true;
  }
  void expect_end() const {
    if (!words_.empty()) throw DescriptionError(fmt::format("\"{}\" is not understood", words_.front()));
  }

 private:
  std::vector<std::string> words_;
};

template <typename T, size_t N>
T choose(const std::array<std::pair<std::string_view, T>, N>& names, std::string_view name) {
  for (const auto& [known, value] : names)
    if (known == name) return value;
  throw DescriptionError(fmt::format("\"{}\" is not known here", name));
}

std::pair<std::string, std::string> split(const std::string& text, char at) {
  const size_t found = text.find(at);
  if (found == std::string::npos) throw DescriptionError(fmt::format("\"{}\" has no '{}'", text, at));
  return {text.substr(0, found), text.substr(found + 1)};
}

Range parse_range(const std::string& text) {
  const auto [start, end] = split(text, '-');
  const Range range{parse_size(start), parse_size(end)};
  if (range.end < range.start) throw DescriptionError(fmt::format("\"{}\" ends before it starts", text));
  return range;
}

std::vector<Range> parse_ranges(Words& words) {
  std::vector<Range> ranges;
  do ranges.push_back(parse_range(words.next()));
  while (!words.empty());
  return ranges;
}

unsigned parse_leaf(const std::string& text) {
  constexpr std::array<std::pair<std::string_view, unsigned>, 3> kLeaves = {
      {{"4k", 1}, {"2m", 2}, {"1g", 3}}};
  return choose(kLeaves, text);
}

void parse_leaf_option(Words& words, std::string_view name, unsigned& into) {
  if (const auto text = words.option(name)) into = parse_leaf(*text);
}

void parse_machine(Words& words, Description& out) {
  MachineLine& machine = out.machine;
  words.word("x86_64");
  words.number("levels", machine.levels);
  words.number("kaslr", machine.kaslr);
  words.number("phys_base", machine.phys_base);
  words.number("page_offset", machine.page_offset);
  words.number("vmalloc", machine.vmalloc);
  words.number("vmemmap", machine.vmemmap);
  words.number("sme_mask", machine.sme_mask);
  words.number("elf_machine", machine.elf_machine);
  words.number("image_size", machine.image_size);
  parse_leaf_option(words, "direct_map", machine.direct_map_leaf);
}

void parse_cpus(Words& words, Description& out) {
  if (const auto notes = words.option("notes")) out.cpu_notes = static_cast<unsigned>(parse_size(*notes));
  if (!words.empty()) out.cpus = static_cast<unsigned>(parse_size(words.next()));
}

void parse_qemu_cpus(Words& words, Description& out) {
  CpuRegisters registers;
  if (const auto cpu = words.option("cpu")) registers.cpu = static_cast<unsigned>(parse_size(*cpu));
  words.number("cr0", registers.cr0);
  words.number("cr3", registers.cr3);
  words.number("cr4", registers.cr4);
  out.qemu_cpus.push_back(registers);
}

void parse_note(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, NotePlace>, 4> kPlaces = {{{"elf", NotePlace::elf},
                                                                              {"memory", NotePlace::memory},
                                                                              {"both", NotePlace::both},
                                                                              {"none", NotePlace::none}}};
  const std::string verb = words.next();
  if (verb == "place") {
    out.note.place = choose(kPlaces, words.next());
  } else if (verb == "truncate") {
    out.note.truncate = parse_size(words.next());
  } else if (verb == "omit") {
    for (const std::string& key : words.rest()) {
      out.note.omit_all = out.note.omit_all || key == "*";
      out.note.omit.insert(key);
      out.note.set.erase(key);
    }
  } else if (verb == "set") {
    const auto [key, value] = split(words.joined(), '=');
    out.note.set[key] = value;
    out.note.omit.erase(key);
  } else if (verb == "copy") {
    const uint64_t address = parse_size(words.next());
    const auto [key, value] =
        words.empty() ? std::pair<std::string, std::string>() : split(words.joined(), '=');
    out.note.copies.push_back({address, key, value});
  } else {
    throw DescriptionError(fmt::format("note {}: unknown", verb));
  }
}

void parse_symbols(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, SymbolEncoding>, 4> kEncodings = {
      {{"place_relative", SymbolEncoding::place_relative},
       {"base_relative", SymbolEncoding::base_relative},
       {"base_relative_percpu", SymbolEncoding::base_relative_percpu},
       {"absolute", SymbolEncoding::absolute}}};
  const std::string verb = words.next();
  if (verb == "file") {
    out.symbols.file = true;
  } else if (verb == "functions") {
    out.symbols.functions_only = true;
  } else if (verb == "none" || verb == "all") {
    out.symbols.none = verb == "none";
  } else if (verb == "encoding") {
    out.symbols.encoding = choose(kEncodings, words.next());
  } else if (verb == "extra") {
    out.symbols.extra = static_cast<unsigned>(parse_size(words.next()));
  } else if (verb == "damage") {
    out.symbols.damage = parse_size(words.next());
  } else if (verb == "omit") {
    for (const std::string& name : words.rest()) out.symbols.omit.insert(name);
  } else if (verb == "set" || verb == "address") {
    const auto [name, value] = split(words.next(), '=');
    (verb == "set" ? out.symbols.values : out.symbols.addresses)[name] = parse_size(value);
  } else {
    throw DescriptionError(fmt::format("symbols {}: unknown", verb));
  }
}

void parse_btf(Words& words, Description& out) {
  out.btf.emplace();
  while (!words.empty()) {
    const std::string word = words.next();
    if (word == "unnamed")
      out.btf->unnamed = true;
    else if (word == "future")
      out.btf->future_kind = true;
    else if (word == "damaged")
      out.btf->magic_damaged = true;
    else if (word == "cyclic")
      out.btf->cyclic = true;
    else if (word == "wrong_sizes")
      out.btf->wrong_sizes = true;
    else
      throw DescriptionError(fmt::format("btf {}: unknown", word));
  }
}

std::vector<std::string> split_names(std::string names) {
  std::vector<std::string> all;
  for (; !names.empty(); names.erase(0, std::min(names.find(','), names.size() - 1) + 1))
    all.push_back(names.substr(0, names.find(',')));
  return all;
}

void parse_orc(Words& words, Description& out) {
  out.orc_without_hash = words.word("no_hash");
  out.orc = words.next();
}

void parse_task(Words& words, Description& out) {
  TaskLine task;
  words.number("pid", task.pid);
  words.number("of", task.process);
  words.number("ppid", task.parent);
  words.number("cpu", task.cpu);
  words.number("vsz", task.vsz);
  words.number("rss", task.rss);
  words.number("start", task.start);
  words.number("utime", task.utime);
  words.number("stime", task.stime);
  if (const auto comm = words.option("comm")) task.comm = *comm;
  if (const auto state = words.option("state")) task.state = *state;
  task.is_running = words.word("running");
  task.is_kernel_thread = words.word("kernel");
  task.is_user = words.word("user");
  if (const auto functions = words.option("stack")) task.stack = split_names(*functions);
  out.objects.tasks.push_back(std::move(task));
}

void parse_module(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, unsigned>, 4> kStates = {
      {{"live", 0}, {"coming", 1}, {"going", 2}, {"unformed", 3}}};
  ModuleLine module;
  words.number("size", module.size);
  words.number("used", module.used);
  words.number("taints", module.taints);
  if (const auto state = words.option("state")) module.state = choose(kStates, *state);
  if (const auto names = words.option("symbols")) module.symbols = split_names(*names);
  module.has_types = words.word("types");
  module.name = words.next();
  out.objects.modules.push_back(std::move(module));
}

// "task:1.tasks.next", "symbol:modules+8".
ObjectPlace parse_place(std::string text) {
  ObjectPlace place;
  if (const size_t plus = text.find('+'); plus != std::string::npos) {
    place.offset = parse_size(text.substr(plus + 1));
    text.erase(plus);
  }
  const size_t dot = std::min(text.find('.'), text.size());
  place.object = text.substr(0, dot);
  if (dot < text.size()) place.member = text.substr(dot + 1);
  return place;
}

void parse_object(Words& words, Description& out) {
  ObjectDamage damage;
  const std::string verb = words.next();
  if (verb == "make" || verb == "variable") {
    const std::string name = words.next();
    std::string type;
    while (!words.empty()) type += (type.empty() ? "" : " ") + words.next();
    out.objects.made.push_back({name, type, verb == "variable"});
    return;
  }
  if (verb == "list") {
    damage.place = parse_place(words.next());
    do damage.entries.push_back(parse_place(words.next()));
    while (!words.empty());
    out.objects.damage.push_back(std::move(damage));
    return;
  }
  if (verb == "missing") {
    damage.place = parse_place(words.next());
    damage.is_missing = true;
  } else if (verb == "set") {
    const auto [place, value] = split(words.next(), '=');
    damage.place = parse_place(place);
    if (value.find(':') == std::string::npos)
      damage.value = parse_size(value);
    else
      damage.target = parse_place(value);
  } else {
    throw DescriptionError(fmt::format("object {}: unknown", verb));
  }
  out.objects.damage.push_back(std::move(damage));
}

void parse_config(Words& words, Description& out) {
  const std::string verb = words.next();
  if (verb == "set") {
    for (const std::string& word : words.rest()) {
      const auto [name, value] = split(word, '=');
      out.config.set[name] = value;
    }
  } else if (verb == "version") {
    out.config.version = words.next();
  } else if (verb == "in") {
    for (const std::string& place : words.rest()) {
      const std::array<std::pair<std::string_view, bool*>, 4> places = {{{"memory", &out.config.memory},
                                                                         {"proc", &out.config.proc},
                                                                         {"boot", &out.config.boot},
                                                                         {"file", &out.config.file}}};
      *choose(places, place) = true;
    }
  } else {
    throw DescriptionError(fmt::format("config {}: unknown", verb));
  }
}

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

void parse_struct_page(Words& words, Description& out) {
  words.number("size", out.page_struct_size);
  if (const auto name = words.option("layout")) {
    out.layout = find_layout(*name);
    if (out.layout == nullptr) throw DescriptionError(fmt::format("there is no layout {}", *name));
  }
}

void parse_memory_map(Words& words, Description& out) {
  parse_leaf_option(words, "leaf", out.memory_map_leaf);
  words.number("repeat", out.memory_map_repeat);
}

void parse_mem_section(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, SectionRoots>, 3> kRoots = {
      {{"value", SectionRoots::value}, {"pointer", SectionRoots::pointer}, {"array", SectionRoots::array}}};
  if (const auto bits = words.option("bits")) out.section_bits = static_cast<unsigned>(parse_size(*bits));
  if (!words.empty()) out.section_roots = choose(kRoots, words.next());
}

void parse_pages(Words& words, Description& out) {
  PageRun run;
  const std::string frames = words.next();
  const auto [first, last] =
      frames.find('-') == std::string::npos ? std::pair(frames, frames) : split(frames, '-');
  run.first = parse_size(first);
  run.last = parse_size(last);
  if (const auto kind = words.option("class")) run.kind = *kind;
  words.number("order", run.order);
  words.number("flags", run.raw_flags);
  words.number("mapping", run.raw_mapping);
  words.number("private", run.raw_private);
  if (const auto count = words.option("mapcount"))
    run.raw_mapcount = static_cast<uint32_t>(parse_size(*count));
  for (const std::string& word : words.rest()) run.flags.insert(word);
  out.pages.push_back(run);
}

void parse_node(Words& words, Description& out) {
  NodeLine node{static_cast<unsigned>(parse_size(words.next())), {}};
  node.ranges = parse_ranges(words);
  out.nodes.push_back(std::move(node));
}

void parse_zone(Words& words, Description& out) {
  ZoneLie lie;
  lie.zone = words.next();
  words.number("node", lie.node);
  words.number("order", lie.order);
  words.number("add", lie.add);
  out.zone_lies.push_back(lie);
}

void parse_contents(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, Contents>, 3> kContents = {
      {{"zero", Contents::zero}, {"random", Contents::random}, {"pattern", Contents::pattern}}};
  ContentsLine line;
  line.contents = choose(kContents, words.next());
  if (!words.empty()) line.range = parse_range(words.next());
  out.contents.push_back(line);
}

void parse_entry(ExtraEntry::Kind kind, Words& words, Description& out) {
  ExtraEntry entry{kind, parse_size(words.next()), 0, 1, 0};
  parse_leaf_option(words, "leaf", entry.level);
  words.number("level", entry.level);
  words.number("type", entry.swap_type);
  const bool has_value = kind != ExtraEntry::Kind::missing && kind != ExtraEntry::Kind::loop;
  if (has_value) entry.value = parse_size(words.next());
  out.entries.push_back(entry);
}

void parse_memory(Words& words, Description& out) {
  const std::string verb = words.next();
  if (verb == "uts") {
    const auto [field, value] = split(words.joined(), '=');
    out.uts[field] = value;
  } else if (verb == "second_uts") {
    out.second_uts = true;
  } else if (verb == "build_id") {
    out.build_id_in_memory = words.next();
  } else if (verb == "section_map") {
    out.section_map = parse_size(words.next());
  } else if (verb == "no_vmalloc") {
    out.vmalloc_mapped = false;
  } else {
    throw DescriptionError(fmt::format("memory {}: unknown", verb));
  }
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

void parse_log(Words& words, Description& out) {
  constexpr std::array<std::pair<std::string_view, LogForm>, 3> kForms = {
      {{"ring", LogForm::ring}, {"records", LogForm::records}, {"text", LogForm::text}}};
  if (!out.log) out.log.emplace();
  if (words.word("clear")) {
    out.log->messages.push_back({0, "", true});
  } else if (words.word("message")) {
    LogMessage message;
    words.number("level", message.level);
    message.text = words.joined();
    out.log->messages.push_back(message);
  } else {
    words.number("info", out.log->info_size);
    out.log->in_direct_map = words.word("direct");
    out.log->form = choose(kForms, words.next());
  }
}

using Statement = void (*)(Words&, Description&);
template <ExtraEntry::Kind kind>
void parse_entry_of(Words& words, Description& out) {
  parse_entry(kind, words, out);
}

constexpr std::array<std::pair<std::string_view, Statement>, 36> kStatements = {{
    {"machine", parse_machine},
    {"ram", [](Words& words, Description& out) { out.ram = parse_ranges(words); }},
    {"release", [](Words& words, Description& out) { out.release = words.next(); }},
    {"build_id", [](Words& words, Description& out) { out.build_id = words.next(); }},
    {"cpus", parse_cpus},
    {"qemu_cpus", parse_qemu_cpus},
    {"crashed", [](Words& words, Description& out) { out.crashed = parse_size(words.next()); }},
    {"crashkernel", [](Words& words, Description& out) { out.crashkernel = parse_ranges(words); }},
    {"note", parse_note},
    {"symbols", parse_symbols},
    {"btf", parse_btf},
    {"task", parse_task},
    {"orc", parse_orc},
    {"module", parse_module},
    {"object", parse_object},
    {"config", parse_config},
    {"log", parse_log},
    {"segments", parse_segments},
    {"format", parse_format},
    {"kdump", parse_kdump},
    {"struct_page", parse_struct_page},
    {"memory_map", parse_memory_map},
    {"mem_section", parse_mem_section},
    {"pages", parse_pages},
    {"node", parse_node},
    {"zone", parse_zone},
    {"contents", parse_contents},
    {"map", parse_entry_of<ExtraEntry::Kind::map>},
    {"prot_none", parse_entry_of<ExtraEntry::Kind::prot_none>},
    {"swap", parse_entry_of<ExtraEntry::Kind::swap>},
    {"entry", parse_entry_of<ExtraEntry::Kind::raw>},
    {"missing", parse_entry_of<ExtraEntry::Kind::missing>},
    {"loop", parse_entry_of<ExtraEntry::Kind::loop>},
    {"memory", parse_memory},
    {"system", parse_system},
    {"truncate", [](Words& words, Description& out) { out.truncate = parse_size(words.next()); }},
}};

void parse_line(std::string_view line, Description& out) {
  Words words(line.substr(0, line.find('#')));
  if (words.empty()) return;
  const Statement statement = choose(kStatements, words.next());
  statement(words, out);
  words.expect_end();
}

}  // namespace

uint64_t parse_size(std::string_view text) {
  const std::string_view whole = text;
  constexpr std::string_view kUnits = "KMGT";
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  unsigned shift = 0;
  if (const size_t unit = text.empty() ? std::string_view::npos : kUnits.find(text.back());
      unit != std::string_view::npos) {
    shift = static_cast<unsigned>(10 * (unit + 1));
    text.remove_suffix(1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    throw DescriptionError(fmt::format("\"{}\" is no number", whole));
  value <<= shift;
  return negative ? uint64_t{0} - value : value;
}

Description parse_description(std::string_view text) {
  Description out;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    try {
      parse_line(text.substr(0, end), out);
    } catch (const DescriptionError& error) {
      throw DescriptionError(fmt::format("line {}: {} ({})", number, error.what(), text.substr(0, end)));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace kvista::test
