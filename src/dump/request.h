// What is asked of a dump, and what became of it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "codec/codec.h"
#include "dump/erased_ranges.h"
#include "dump/memory_share.h"
#include "dump/output.h"
#include "kvista/image.h"
#include "kvista/page_class.h"

namespace kvista::dump {

enum class Format : uint8_t {
  kdump,  ///< kdump-compressed, version 6
  elf,    ///< an ELF core file, not compressed
};

struct DumpRequest {
  /// At least one; "-": standard output, of a flattened dump only. Several: each gets a part of the pages,
  /// for kdump-compressed dumps that are not flattened.
  std::vector<std::string> outputs;
  bool overwrite = false;
  Format format = Format::kdump;
  bool flattened = false;   ///< as a stream of records that becomes the dump (makedumpfile -F)
  bool every_page = false;  ///< all that the image holds: no struct page is looked at, and the level is 0
  uint64_t max_segments = 60000;      ///< of an ELF core file
  unsigned level = 0;                 ///< makedumpfile's -d
  std::vector<unsigned> next_levels;  ///< tried one after another where the dump does not fit
  std::optional<uint64_t> limit;      ///< how many bytes the dump may have (makedumpfile's -L)
  bool dry_run = false;               ///< only decide which pages the dump would hold; nothing is written
  std::optional<codec::Codec> codec;  ///< none: pages are stored as they are
  std::optional<int> compression;     ///< the codec's level; nothing: its fastest
  unsigned threads = 1;
  bool leave_out_map = false;  ///< the memory map of pages that are left out, too (makedumpfile's -e)
  std::optional<uint64_t> memory_limit;    ///< bytes; nothing: what the threads need
  MemoryShare memory;                      ///< by that limit; write_dump() fills it
  std::optional<std::string> erase_rules;  ///< a file that says what is erased (docs/erase.md)
  Erasure erasure;                         ///< what that is: write_dump() finds it by the rules
  uint64_t timestamp = 0;                  ///< when the dump is taken, seconds since 1970
  /// Told how many bytes of pages of how many are done, from one thread at a time, often.
  std::function<void(uint64_t done, uint64_t planned)> progress;
  /// Told which of the frames from `first` on are kept, a bit each, and their classes: from several threads,
  /// `worker` belongs to one.
  std::function<void(Pfn first, std::span<const pages::ClassByte> classes, std::span<const std::byte> kept,
                     unsigned worker)>
      decided;
};

/// Frames of a class, and how many of them are in the dump.
struct ClassCount {
  uint64_t frames = 0;
  uint64_t kept = 0;
};

/// What the counting pass counts; each thread for itself.
struct PageCounts {
  std::array<ClassCount, pages::kClassCount> classes{};
  uint64_t protected_frames = 0;  ///< kept against the word of their struct pages

  PageCounts& operator+=(const PageCounts& more) {
    for (size_t i = 0; i < classes.size(); ++i) {
      classes.at(i).frames += more.classes.at(i).frames;
      classes.at(i).kept += more.classes.at(i).kept;
    }
    protected_frames += more.protected_frames;
    return *this;
  }
};

struct DumpResult : PageCounts {
  unsigned level = 0;                                      ///< with what the source already lacked
  unsigned page_shift = 0;                                 ///< log2 of the bytes in a page
  uint64_t frames = 0;                                     ///< of memory, held by the image or not
  uint64_t planned = 0;                                    ///< pages that the dump was to hold
  uint64_t written = 0;                                    ///< pages that it holds
  uint64_t zeros = 0;                                      ///< of them, how many share the page of zeros
  std::array<uint64_t, image::kPageStateCount> missing{};  ///< planned, and not to be read, by why
  uint64_t map_pages = 0;                                  ///< pages of memory map that are left out for that
  uint64_t own = 0;      ///< of a running kernel: pages of this process, which are left out
  uint64_t changed = 0;  ///< of a running kernel: pages that were to be saved, and changed what they are for
  uint64_t bytes = 0;    ///< how large the dump is
  uint64_t most_bytes = 0;     ///< how large it could be at most, as far as is known before pages are read
  bool full = false;           ///< incomplete because there was no more room
  uint64_t erased_places = 0;  ///< that the rules named, and how many bytes of memory these are
  uint64_t erased_bytes = 0;
  uint64_t joined = 0;  ///< pages that were left out, and have room in an ELF core file all the same
  std::string failure;  ///< why the dump is incomplete; empty: it is complete
  std::vector<std::string> warnings;

  void set_failure(const OutputFailed& error) {
    failure = error.what();
    full = dynamic_cast<const OutputFull*>(&error) != nullptr;
  }
  uint64_t lost() const { return planned - written; }
};

/// The format in words: "kdump-compressed v6, flattened".
std::string describe_format(const DumpRequest& request);

}  // namespace kvista::dump
