#include "machine/note_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "machine/address_space.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

using vmcoreinfo::FoundNote;
using vmcoreinfo::VmcoreInfo;

struct Judgement {
  std::optional<bool> holds;  // nothing: cannot be told
  std::string why;
};

// Whether the page tables that the text names lead to where it says that init_uts_ns is.
std::optional<bool> tables_hold(const image::MemoryImage& image, const Architecture& arch,
                                const VmcoreInfo& info, VirtAddr uts, uint64_t image_offset) {
  std::optional<uint64_t> root;
  for (const std::string_view name : arch.root_symbols)
    if (!root) root = info.symbol(name);
  if (!root || !arch.is_of_image(info, VirtAddr{*root})) return std::nullopt;
  bool missing = false;
  for (const arch::Paging& paging : arch.possible_pagings(info)) {
    const Walk walk = AddressSpace(image, PhysAddr{*root - image_offset}, paging).walk(uts);
    if (walk.end == WalkEnd::mapped && walk.phys == PhysAddr{uts.value - image_offset}) return true;
    if (walk.end == WalkEnd::table_missing && is_missing(walk.missing_state)) missing = true;
  }
  return missing ? std::nullopt : std::optional(false);
}

Judgement check_of(const image::MemoryImage& image, const Architecture& arch, const FoundNote& note) {
  const VmcoreInfo& info = note.info;
  if (note.has_header && note.byte_order != arch.byte_order)
    return {std::nullopt,
            fmt::format("a {}-endian machine's", note.byte_order == ByteOrder::big ? "big" : "little")};
  const auto value = arch.noted_image_fact(info);
  const auto symbol = info.symbol("init_uts_ns");
  const auto release = info.text_of("OSRELEASE");
  if (!value || !symbol || !release || !arch.is_of_image(info, VirtAddr{*symbol}))
    return {std::nullopt,
            fmt::format("it lacks {} or SYMBOL(init_uts_ns) of {}", describe_image_fact(arch), arch.name)};
  const uint64_t offset = arch.image_offset(*value);
  const PhysAddr at{*symbol - offset};
  std::array<std::byte, 1> byte{};
  if (is_missing(image.read(at, byte).state))
    return {std::nullopt, fmt::format("init_uts_ns at {:#x} is not in the image", at.value)};
  const auto uts = read_utsname(image, info, offset);
  if (!uts) return {false, fmt::format("no struct utsname at {:#x}, where it says", at.value)};
  if (uts->release != *release)
    return {false, fmt::format("struct utsname at {:#x} is that of another release", at.value)};
  if (tables_hold(image, arch, info, VirtAddr{*symbol}, offset) == false)
    return {false, "its page tables do not lead to its struct utsname"};
  return {true, fmt::format("struct utsname at {:#x} shows its release", at.value)};
}

// By the architecture of the image, or the note's where the image does not say; where neither tells, that of
// most machines.
Judgement check_note(const image::MemoryImage& image, const FoundNote& note) {
  const Architecture* arch = architecture_of_elf(image.traits().elf_machine);
  if (arch == nullptr) arch = architecture_of_note(note.info);
  return check_of(image, arch != nullptr ? *arch : architectures().front(), note);
}

// A text that another one begins with: the copy that the kernel makes its note from lacks what a panic
// appends, and a copy may be cut.
bool says_no_more(const FoundNote& note, const FoundNote& other) {
  return other.info.text().starts_with(note.info.text());
}

// Longer texts first; of those that are as long, notes.
bool is_better(const FoundNote& a, const FoundNote& b) {
  const auto merit = [](const FoundNote& note) {
    return std::tuple(note.info.text().size(), note.has_header, ~note.address.value);
  };
  return merit(a) > merit(b);
}

// Of those with one outcome of the check, the ones that say different things, the best of each.
std::vector<JudgedNote*> distinct(std::vector<JudgedNote*> notes) {
  std::sort(notes.begin(), notes.end(),
            [](const auto* a, const auto* b) { return is_better(a->found, b->found); });
  std::vector<JudgedNote*> leaders;
  for (JudgedNote* note : notes) {
    const auto leads = [&](const JudgedNote* leader) { return says_no_more(note->found, leader->found); };
    if (std::none_of(leaders.begin(), leaders.end(), leads)) leaders.push_back(note);
  }
  return leaders;
}

// Without damage, where some are.
std::vector<JudgedNote*> prefer_whole(std::vector<JudgedNote*> notes) {
  const auto damaged = [](const JudgedNote* note) { return !note->found.info.warnings().empty(); };
  if (!std::all_of(notes.begin(), notes.end(), damaged)) std::erase_if(notes, damaged);
  return notes;
}

std::string list_addresses(std::span<JudgedNote* const> notes) {
  std::string list;
  for (const JudgedNote* note : notes)
    list += fmt::format("{}{:#x}", list.empty() ? "" : ", ", note->found.address.value);
  return list;
}

std::vector<JudgedNote*> with_verdict(NoteChoice& choice, NoteVerdict verdict) {
  std::vector<JudgedNote*> notes;
  for (JudgedNote& note : choice.notes)
    if (note.verdict == verdict) notes.push_back(&note);
  return notes;
}

JudgedNote judge(const image::MemoryImage& image, FoundNote found) {
  Judgement check = check_note(image, found);
  const NoteVerdict verdict = !check.holds   ? NoteVerdict::unchecked
                              : *check.holds ? NoteVerdict::confirmed
                                             : NoteVerdict::refuted;
  return {std::move(found), verdict, std::move(check.why)};
}

// The note that the memory of such a machine leads to, where memory confirms it.
std::optional<JudgedNote> pointed_note(const image::MemoryImage& image, const Architecture& arch) {
  const uint16_t machine = image.traits().elf_machine;
  if (arch.note_pointer == nullptr || (machine != 0 && machine != arch.elf_machine)) return std::nullopt;
  const auto pointer = arch.note_pointer(image);
  auto found = pointer ? vmcoreinfo::note_at(image, *pointer) : std::nullopt;
  if (!found || (machine == 0 && architecture_of_note(found->info) != &arch)) return std::nullopt;
  JudgedNote judged = judge(image, std::move(*found));
  return judged.verdict == NoteVerdict::confirmed ? std::optional(std::move(judged)) : std::nullopt;
}

void use(NoteChoice& choice, JudgedNote& chosen) {
  const FoundNote& found = chosen.found;
  chosen.verdict = NoteVerdict::used;
  for (JudgedNote& note : choice.notes)
    if (&note != &chosen && says_no_more(note.found, found)) note.verdict = NoteVerdict::same;
  choice.located = {found.info, fmt::format("memory at {:#x}", found.address.value)};
  if (found.missing != 0)
    choice.warnings.push_back(
        fmt::format("VMCOREINFO at {:#x} in memory is cut short: {} bytes of it are not in the image",
                    found.address.value, found.missing));
}

void choose(NoteChoice& choice) {
  auto confirmed = distinct(prefer_whole(with_verdict(choice, NoteVerdict::confirmed)));
  const auto is_pointed = [&](const JudgedNote* note) { return note->found.address == choice.pointed; };
  if (std::any_of(confirmed.begin(), confirmed.end(), is_pointed))
    std::erase_if(confirmed, [&](const JudgedNote* note) { return !is_pointed(note); });
  const auto unchecked = distinct(prefer_whole(with_verdict(choice, NoteVerdict::unchecked)));
  if (confirmed.size() == 1) {
    use(choice, *confirmed.front());
  } else if (confirmed.empty() && unchecked.size() == 1) {
    use(choice, *unchecked.front());
    choice.warnings.push_back(fmt::format("VMCOREINFO at {:#x} in memory is used, but cannot be checked: {}",
                                          unchecked.front()->found.address.value, unchecked.front()->why));
  } else if (confirmed.size() > 1) {
    choice.warnings.push_back(fmt::format(
        "VMCOREINFO is found in memory at {}, which differ, and memory confirms each: none is used "
        "(kvista vmcoreinfo --at ADDRESS prints one, --vmcoreinfo FILE uses it)",
        list_addresses(confirmed)));
  }
  const auto refuted = distinct(with_verdict(choice, NoteVerdict::refuted));
  if (choice.located && !refuted.empty())
    choice.warnings.push_back(fmt::format(
        "VMCOREINFO that this memory refutes (of a guest, an earlier kernel or a file) is at {}: not used",
        list_addresses(refuted)));
}

}  // namespace

const char* describe(NoteVerdict verdict) {
  switch (verdict) {
    case NoteVerdict::used:
      return "used";
    case NoteVerdict::same:
      return "says the same";
    case NoteVerdict::confirmed:
      return "confirmed";
    case NoteVerdict::unchecked:
      return "not checked";
    case NoteVerdict::refuted:
      return "refuted";
  }
  return "";
}

NoteChoice find_note_in_memory(const image::MemoryImage& image, NoteSearch search) {
  NoteChoice choice;
  for (const Architecture& arch : architectures()) {
    const auto pointed = pointed_note(image, arch);
    if (!pointed) continue;
    choice.pointed = pointed->found.address;
    if (search == NoteSearch::all) break;
    choice.notes.push_back(*pointed);
    choose(choice);
    return choice;
  }
  vmcoreinfo::Scan scan = vmcoreinfo::scan(image);
  for (FoundNote& found : scan.notes) choice.notes.push_back(judge(image, std::move(found)));
  if (scan.unreadable != 0)
    choice.warnings.push_back(fmt::format(
        "{} pages of memory are damaged and cannot be read: VMCOREINFO was looked for in the others",
        scan.unreadable));
  if (!scan.complete)
    choice.warnings.emplace_back("memory is full of what looks like VMCOREINFO: not all of it was looked at");
  choose(choice);
  return choice;
}

std::string describe_missing_note(const image::MemoryImage& image, const NoteChoice& choice) {
  if (image.traits().live) return "no VMCOREINFO in it";
  if (choice.notes.empty()) return "no VMCOREINFO in it, nor anywhere in its memory";
  const auto confirmed = std::count_if(choice.notes.begin(), choice.notes.end(), [](const JudgedNote& note) {
    return note.verdict == NoteVerdict::confirmed;
  });
  const std::string found =
      confirmed > 1 ? fmt::format("of those found in its memory, {} are confirmed and differ", confirmed)
                    : fmt::format("none of those found in its memory ({}) is certain", choice.notes.size());
  return fmt::format(
      "no VMCOREINFO in it, and {} (kvista vmcoreinfo --explain shows them, --at ADDRESS prints one)", found);
}

}  // namespace kvista::machine
