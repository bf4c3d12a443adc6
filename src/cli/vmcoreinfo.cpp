// kvista vmcoreinfo: what the kernel tells about itself.
#include "kvista/vmcoreinfo.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "cli/command.h"
#include "image/open.h"
#include "machine/note_choice.h"
#include "vmcoreinfo/locate.h"

namespace kvista::cli {
namespace {

using vmcoreinfo::Entry;
using vmcoreinfo::Kind;

TableSpec entries_spec() {
  return {"entries",
          "the lines of the note, in its order",
          Layout::lines,
          {{"line", "LINE", Type::text, "", "the line as it stands", Show::only_text},
           {"kind", "KIND", Type::text, "", "SYMBOL, SIZE, OFFSET, LENGTH, NUMBER or text", Show::only_json},
           {"name", "NAME", Type::text, "", "what stands in the parentheses, or the key", Show::only_json},
           {"value", "VALUE", Type::any, "",
            "a number; a string for text, and for what the kernel writes in hexadecimal", Show::only_json}}};
}

std::string line_of(const Entry& entry) {
  if (entry.kind == Kind::text) return fmt::format("{}={}", entry.name, entry.value);
  return fmt::format("{}({})={}", describe(entry.kind), entry.name, entry.value);
}

Cell value_of(const Entry& entry) {
  if (!entry.number) return entry.value;
  if (entry.kind == Kind::symbol || entry.value.starts_with("0x")) return Hex{*entry.number};
  if (entry.value.starts_with('-')) return static_cast<int64_t>(*entry.number);
  return *entry.number;
}

// What is printed, and what else was found.
struct Source {
  vmcoreinfo::VmcoreInfo info;
  machine::NoteChoice in_memory;
};

uint64_t parse_address(const std::string& text) {
  const auto address = vmcoreinfo::parse_number(text, true);
  if (!address) throw UsageError(fmt::format("--at {}: expected a physical address", text));
  return *address;
}

// The text that the user chose of those in memory.
vmcoreinfo::VmcoreInfo note_at(const machine::NoteChoice& in_memory, uint64_t address,
                               const std::string& path) {
  for (const machine::JudgedNote& note : in_memory.notes)
    if (note.found.address.value == address) return note.found.info;
  throw NotFound(
      fmt::format("{}: no VMCOREINFO in memory at {:#x} (--explain shows where one is)", path, address));
}

Source find_source(const image::MemoryImage& image, const Invocation& invocation) {
  const std::string& path = image.traits().path;
  const auto address = invocation.value("--at");
  if (!address) {
    if (auto located = vmcoreinfo::locate(image)) return {std::move(located->info), {}};
  }
  Source source;
  const bool wants_all = address || invocation.flag("--explain");
  const auto search = wants_all ? machine::NoteSearch::all : machine::NoteSearch::first;
  if (!image.traits().live) source.in_memory = machine::find_note_in_memory(image, search);
  if (address) {
    source.info = note_at(source.in_memory, parse_address(*address), path);
  } else if (source.in_memory.located) {
    source.info = source.in_memory.located->info;
  } else if (source.in_memory.notes.empty() || !invocation.flag("--explain")) {
    throw NotFound(fmt::format("{}: {}", path, machine::describe_missing_note(image, source.in_memory)));
  }
  return source;
}

Report run(const Invocation& invocation) {
  const auto operand =
      invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front());
  const auto image = image::open_image_set(image_paths(invocation, operand));
  const Source source = find_source(*image, invocation);
  Report report{"vmcoreinfo", {{entries_spec(), {}}}, {}, ExitStatus::complete};
  for (const Entry& entry : source.info.entries())
    report.tables[0].rows.push_back({line_of(entry), describe(entry.kind), entry.name, value_of(entry)});
  if (invocation.flag("--explain")) report.tables.push_back(notes_table(source.in_memory));
  const auto warn = [&](std::span<const std::string> sentences) {
    report.warnings.insert(report.warnings.end(), sentences.begin(), sentences.end());
  };
  warn(image->warnings());
  if (!invocation.flag("--at")) warn(source.in_memory.warnings);
  warn(source.info.warnings());
  if (source.info.empty()) {
    report.status = ExitStatus::partial;
    report.warnings.push_back(fmt::format("{}: {}", image->traits().path,
                                          machine::describe_missing_note(*image, source.in_memory)));
  }
  return report;
}

}  // namespace

Command make_vmcoreinfo() {
  return {"vmcoreinfo",
          "print the VMCOREINFO note",
          "kvista vmcoreinfo vmcore | grep KERNELOFFSET\n  how far KASLR moved the kernel that crashed",
          {{"IMAGE", "the image; default: /proc/vmcore, or the running kernel"}},
          {{"--explain", "", "show every VMCOREINFO in the memory of an image that carries none"},
           {"--at", "ADDRESS", "print the one in memory at this physical address"}},
          {entries_spec(), notes_spec()},
          run};
}

}  // namespace kvista::cli
