// What kvista's own ELF core files say of the pages that they do not hold: a note "KVISTA", and two tables
// that it leads to. docs/dump-writer.md describes them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/endian.h"
#include "base/file.h"
#include "image/elf_core.h"
#include "image/extent_map.h"
#include "image/kdump_header.h"

namespace kvista::image {

inline constexpr std::string_view kOwnNoteName = "KVISTA";
// Some readers look at the type alone: it is none of those of core files.
inline constexpr uint32_t kOwnNoteType = 0x4b565354;

/// The descriptor of the note.
struct OwnNote {
  uint64_t dump_level = 0;
  uint64_t page_size = 0;
  FilePart memory;   ///< a table of the memory that the machine had, held or not
  FilePart missing;  ///< a table of memory that segments do not hold, or have room for all the same
};
inline constexpr uint64_t kOwnNoteSize = 7 * sizeof(uint64_t);
std::vector<std::byte> own_note_bytes(const OwnNote& note, ByteOrder order);

/// Of a dump of a running kernel, a note of its own: from when to when its pages are, in seconds since 1970.
/// `end` is 0 where the writer did not reach the end.
struct LiveWindow {
  uint64_t start = 0;
  uint64_t end = 0;
};
inline constexpr uint32_t kLiveNoteType = 0x4b564c56;
inline constexpr uint64_t kLiveNoteSize = 3 * sizeof(uint64_t);
std::vector<std::byte> live_note_bytes(const LiveWindow& window, ByteOrder order);
/// The first note of that kind in a dump, or nothing.
std::optional<LiveWindow> find_live_note(const File& file, std::span<const Note> notes, ByteOrder order);
/// In one sentence.
std::string describe(const LiveWindow& window);

/// An entry of either table.
struct MissingRange {
  PhysRange range;
  PageState state = PageState::excluded;  ///< excluded or lost; of memory `present`
};
inline constexpr uint64_t kMissingRangeSize = 3 * sizeof(uint64_t);
std::vector<std::byte> missing_range_bytes(std::span<const MissingRange> ranges, ByteOrder order);

/// Of an ELF core file, the note, or nothing where it has none of that name.
std::optional<OwnNote> find_own_note(const File& file, const ElfCore& core);

/// Sorts out the memory of such a file: `segments` are what its program headers say. Tails of segments are
/// zeros; memory that has no segment was left out, or lost where the file is `incomplete`. What the tables
/// say and the file cannot hold is dropped, with a sentence in `warnings`.
ExtentMap complete_extents(const File& file, ByteOrder order, const OwnNote& note, const ExtentMap& segments,
                           bool incomplete, std::vector<std::string>& warnings);

}  // namespace kvista::image
