// Memory and what a file says beside it, to be written in any format.
#pragma once

#include <string>
#include <vector>

#include "images/description.h"
#include "images/elf_builder.h"
#include "images/kdump_builder.h"
#include "images/memory.h"

namespace kvista::test {

struct Saved {
  std::vector<Range> ram;  ///< what is memory
  uint64_t page_size = kPage;
  std::string uts_machine = "x86_64";
  MemoryBytes bytes;
  std::vector<ElfNote> cpu_notes;
  std::string vmcoreinfo;  ///< its text; none: the file does not have it
  ElfDescription elf;      ///< as an ELF core, without notes
};

/// The same as an ELF core, with its notes.
ElfDescription elf_of(const Saved& saved);
/// The same as a kdump-compressed file, whole.
KdumpDescription kdump_of(const Saved& saved, const KdumpLine& line);
/// Writes `saved` in the format that `how` says; the parts of a split dump behind the first as PATH.2,
/// PATH.3 ... Throws std::runtime_error.
void save(const Saved& saved, const Description& how, const std::string& path);

}  // namespace kvista::test
