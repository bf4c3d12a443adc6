// rewrite_image DESCRIPTION IN OUT: the memory image IN in another file format, as the statements `format`,
// `kdump` and `truncate` of a description (tests/images/README.md) say. What IN does not hold is not memory
// in OUT.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "image/open.h"
#include "images/saved.h"

namespace {

namespace image = kvista::image;
namespace test = kvista::test;

// Pages that are not all zeros, from pieces as large as a core's cache.
test::MemoryBytes bytes_of(const image::MemoryImage& memory) {
  return [&memory](test::Range range, const test::MemoryVisit& visit) {
    constexpr uint64_t kPiece = 1 << 18;
    std::vector<std::byte> piece;
    for (uint64_t at = range.start; at < range.end; at += piece.size()) {
      piece.resize(std::min(range.end - at, kPiece));
      const image::ReadResult read = memory.read(kvista::PhysAddr{at}, piece);
      if (read.done < piece.size())
        throw std::runtime_error(
            fmt::format("cannot read {:#x}: {}", at + read.done, image::describe(read.state)));
      for (size_t into = 0; into < piece.size(); into += test::kPage) {
        const auto page =
            std::span(std::as_const(piece)).subspan(into, std::min(test::kPage, piece.size() - into));
        if (std::any_of(page.begin(), page.end(), [](std::byte byte) { return byte != std::byte{0}; }))
          visit(at + into, page);
      }
    }
  };
}

test::ElfSegment segment_of(const image::Segment& segment, const test::MemoryBytes& bytes) {
  test::ElfSegment out;
  const uint64_t start = segment.paddr.value().value;
  out.paddr = start;
  out.vaddr = segment.vaddr ? segment.vaddr->value : 0;
  out.memory_size = segment.size;
  out.data = [=](const test::Emit& emit) {
    bytes({start, start + segment.size},
          [&](uint64_t address, std::span<const std::byte> piece) { emit(address - start, piece); });
  };
  return out;
}

test::Saved saved_of(const image::MemoryImage& memory) {
  constexpr uint64_t kLargestNote = 1 << 20;
  test::Saved saved;
  saved.bytes = bytes_of(memory);
  for (const kvista::PhysRange& range : memory.ram())
    saved.ram.push_back({range.start.value, range.end().value});
  for (const image::Note& note : memory.notes()) {
    const std::vector<std::byte> descriptor = memory.read_note(note, kLargestNote);
    if (note.name == "VMCOREINFO")
      saved.vmcoreinfo.assign(reinterpret_cast<const char*>(descriptor.data()), descriptor.size());
    else
      saved.cpu_notes.push_back({note.name, note.type, descriptor});
  }
  saved.elf.machine = memory.traits().elf_machine;
  for (const image::Segment& segment : memory.segments())
    saved.elf.segments.push_back(segment_of(segment, saved.bytes));
  return saved;
}

void rewrite(const char* description, const char* in, const char* out) {
  const std::ifstream file(description);
  if (!file) throw std::runtime_error(fmt::format("cannot read {}", description));
  std::stringstream text;
  text << file.rdbuf();
  const auto memory = image::open_image(in);
  test::save(saved_of(*memory), test::parse_description(text.str()), out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: rewrite_image DESCRIPTION IN OUT\n", stderr);
    return 3;
  }
  try {
    rewrite(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rewrite_image: %s\n", error.what());
    return 2;
  }
}
