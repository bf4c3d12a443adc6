#include <algorithm>
#include <string_view>

#include "fuzz/targets.h"
#include "image/raw_image.h"
#include "unit/memory_file.h"
#include "vmcoreinfo/scan.h"

namespace kvista::fuzz {
namespace {

constexpr std::string_view kKey = "OSRELEASE=";
constexpr uint64_t kHeaderSize = 24;

void check_note(const vmcoreinfo::FoundNote& note, Input memory) {
  const uint64_t text = note.address.value + (note.has_header ? kHeaderSize : 0);
  require(text % 4 == 0, "a text is at a multiple of four bytes");
  require(text < memory.size() && memory.size() - text >= kKey.size(), "a note is in memory");
  const auto size = std::min<uint64_t>(note.info.text().size(), memory.size() - text);
  require(size == note.info.text().size(), "its text is in memory");
  const std::string_view there(reinterpret_cast<const char*>(memory.data()) + text, size);
  require(there.starts_with(kKey), "a text begins with its first key");
  require(note.info.text() == there, "a text is what is in memory");
  require(!note.info.empty() && note.info.text_of("OSRELEASE"), "a note names a release");
  require(note.has_header || note.missing == 0, "only a header can name what is missing");
}

}  // namespace

bool note_scan(Input input) {
  if (input.empty()) return false;
  const test::MemoryFile file(input);
  const auto image = image::open_raw_set({{file.path(), PhysAddr{0}}});
  const vmcoreinfo::Scan scan = vmcoreinfo::scan(*image, 1);
  for (const vmcoreinfo::FoundNote& note : scan.notes) check_note(note, input);
  for (size_t i = 1; i < scan.notes.size(); ++i)
    require(scan.notes[i - 1].address < scan.notes[i].address, "notes are sorted and none is there twice");
  return scan.complete && !scan.notes.empty();
}

}  // namespace kvista::fuzz
