// The texts of VMCOREINFO that a search found in memory, as info and vmcoreinfo show them.
#include "cli/command.h"
#include "machine/note_choice.h"

namespace kvista::cli {

TableSpec notes_spec() {
  return {"notes",
          "with --explain, where the image carries no note: each VMCOREINFO that its memory holds",
          Layout::grid,
          {{"address", "ADDRESS", Type::hex, "", "physical address of the note, or of the text without one"},
           {"form", "FORM", Type::text, "", "note (an ELF note, as the kernel keeps it) or text"},
           {"release", "RELEASE", Type::text, "", "its OSRELEASE"},
           {"verdict", "VERDICT", Type::text, "",
            "used, says the same, confirmed (and another one too), not checked or refuted"},
           {"why", "WHY", Type::text, "", "what memory says of it"}}};
}

Table notes_table(const machine::NoteChoice& choice) {
  Table table{notes_spec(), {}};
  for (const machine::JudgedNote& note : choice.notes)
    table.rows.push_back({Hex{note.found.address.value}, note.found.has_header ? "note" : "text",
                          std::string(note.found.info.text_of("OSRELEASE").value_or("")),
                          describe(note.verdict), note.why});
  return table;
}

}  // namespace kvista::cli
