// Statements on the machine, its memory and its page tables.
#include <bit>

#include "images/statement.h"

namespace kvista::test {
namespace {

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
  for (const Architecture* one : all_architectures()) {
    if (!words.word(one->name)) continue;
    machine.architecture = one;
    machine.levels = one->levels;
  }
  if (const auto size = words.option("page"))
    machine.page_shift = static_cast<unsigned>(std::countr_zero(parse_size(*size)));
  words.number("va_bits", machine.va_bits);
  if (const auto bits = words.option("actual_bits"))
    machine.actual_bits = static_cast<unsigned>(parse_size(*bits));
  machine.is_unflipped = words.word("unflipped") || machine.is_unflipped;
  words.number("levels", machine.levels);
  words.number("kaslr", machine.kaslr);
  words.number("phys_base", machine.phys_base);
  words.number("page_offset", machine.page_offset);
  words.number("vmalloc", machine.vmalloc);
  words.number("vmemmap", machine.vmemmap);
  words.number("sme_mask", machine.sme_mask);
  if (const auto number = words.option("elf_machine"))
    machine.elf_machine = static_cast<uint16_t>(parse_size(*number));
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

template <ExtraEntry::Kind kind>
void parse_entry_of(Words& words, Description& out) {
  parse_entry(kind, words, out);
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

constexpr std::array kStatements = {
    Statement{"machine", parse_machine},
    Statement{"ram", [](Words& words, Description& out) { out.ram = parse_ranges(words); }},
    Statement{"cpus", parse_cpus},
    Statement{"qemu_cpus", parse_qemu_cpus},
    Statement{"crashkernel", [](Words& words, Description& out) { out.crashkernel = parse_ranges(words); }},
    Statement{"struct_page", parse_struct_page},
    Statement{"memory_map", parse_memory_map},
    Statement{"mem_section", parse_mem_section},
    Statement{"pages", parse_pages},
    Statement{"node", parse_node},
    Statement{"zone", parse_zone},
    Statement{"contents", parse_contents},
    Statement{"map", parse_entry_of<ExtraEntry::Kind::map>},
    Statement{"prot_none", parse_entry_of<ExtraEntry::Kind::prot_none>},
    Statement{"swap", parse_entry_of<ExtraEntry::Kind::swap>},
    Statement{"entry", parse_entry_of<ExtraEntry::Kind::raw>},
    Statement{"missing", parse_entry_of<ExtraEntry::Kind::missing>},
    Statement{"loop", parse_entry_of<ExtraEntry::Kind::loop>},
    Statement{"memory", parse_memory}};

}  // namespace

std::span<const Statement> machine_statements() {
  return kStatements;
}

}  // namespace kvista::test
