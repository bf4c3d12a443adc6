// Which of the texts of VMCOREINFO in memory is that of the kernel whose memory it is.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/memory_image.h"
#include "vmcoreinfo/locate.h"
#include "vmcoreinfo/scan.h"

namespace kvista::machine {

/// What became of a text.
enum class NoteVerdict {
  used,
  same,       ///< says the same as the one above it that is used, or a part of it
  confirmed,  ///< memory confirms it, and another one that differs: which is right cannot be told
  unchecked,  ///< cannot be checked, and is not used
  refuted,    ///< memory refutes it: a guest's, an earlier kernel's, a file's
};
const char* describe(NoteVerdict verdict);

struct JudgedNote {
  vmcoreinfo::FoundNote found;
  NoteVerdict verdict = NoteVerdict::unchecked;
  std::string why;  ///< what the check found
};

/// All that a search found, and what of it is used.
struct NoteChoice {
  std::vector<JudgedNote> notes;               ///< by address
  std::optional<vmcoreinfo::Located> located;  ///< the one that is used
  std::optional<PhysAddr> pointed;             ///< where the memory itself says that it is
  std::vector<std::string> warnings;
};

/// Where an image is looked through.
enum class NoteSearch {
  first,  ///< where the memory itself says that the note is (s390x's lowcore); all, where that is not
          ///< confirmed
  all,
};

/// Searches `image` for VMCOREINFO and checks what it finds against memory: struct utsname is where the text
/// puts it and shows its release, and the page tables lead there. Used is the one text that memory confirms,
/// or the only one where it cannot be checked. Where two that differ are confirmed, it is the one that the
/// memory itself leads to, else none.
NoteChoice find_note_in_memory(const image::MemoryImage& image, NoteSearch search = NoteSearch::first);

/// Why there is no note, for a message: where it was looked for, and what was found.
std::string describe_missing_note(const image::MemoryImage& image, const NoteChoice& choice);

}  // namespace kvista::machine
