#include "kvista/vmcoreinfo.h"

#include "fuzz/targets.h"

namespace kvista::fuzz {
namespace {

using vmcoreinfo::Entry;
using vmcoreinfo::Kind;
using vmcoreinfo::VmcoreInfo;

std::optional<uint64_t> look_up(const VmcoreInfo& note, const Entry& entry) {
  switch (entry.kind) {
    case Kind::symbol:
      return note.symbol(entry.name);
    case Kind::size:
      return note.size(entry.name);
    case Kind::offset:
      return note.offset(entry.name);
    case Kind::length:
      return note.length(entry.name);
    case Kind::number:
      return note.number(entry.name);
    case Kind::text:
      return entry.number;
  }
  return std::nullopt;
}

}  // namespace

bool vmcoreinfo(Input input) {
  const VmcoreInfo note(std::string(reinterpret_cast<const char*>(input.data()), input.size()));
  require(note.text().size() <= input.size(), "the text is not longer than the note");
  require(note.warnings().size() <= 20, "warnings are few");
  for (const Entry& entry : note.entries()) {
    require(look_up(note, entry) == entry.number, "each entry is found by its name");
    if (entry.kind != Kind::text) continue;
    require(note.text_of(entry.name) == entry.value, "each text is found by its key");
    note.hex(entry.name);
    note.decimal(entry.name);
  }
  return !note.empty() && note.warnings().empty();
}

}  // namespace kvista::fuzz
