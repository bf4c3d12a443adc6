// Turns evidence into facts. Each fact has sources in rank order (probes.h); they are asked until
// its value is verified and one independent source agrees, or all of them where everything is to be
// explained.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "decode/kallsyms.h"
#include "image/memory_image.h"
#include "kvista/fact.h"
#include "machine/address_space.h"
#include "machine/architecture.h"
#include "machine/kernel_config.h"
#include "machine/note_choice.h"
#include "machine/symbol_table.h"
#include "vmcoreinfo/locate.h"

namespace kvista::machine {

class Machine;

/// What a source answered: a value, or why it has none; `detail` says where exactly, or why not.
struct Finding {
  std::optional<FactValue> value;
  std::string detail;
};

/// One source of one fact.
struct Probe {
  FactId fact;
  Source source;
  bool proves;  ///< false: a guess, shown and compared but never used
  Finding (*ask)(Machine& machine);
  bool costly = false;  ///< asked only where nothing else gave a value that holds, or where all are asked
};

/// Checks a fact's value against memory. Nothing where it cannot be checked.
struct Check {
  FactId fact;
  std::optional<bool> (*verify)(Machine& machine, const FactValue& value);
};

/// Whether a source is a symbol table that leads to a variable in memory.
bool reads_symbols(Source source);

/// What one architecture knows about finding facts.
struct ArchProbes {
  std::vector<Probe> probes;
  std::vector<Check> checks;
};

struct Options {
  bool explain = false;                   ///< ask every source
  std::map<FactId, FactValue> overrides;  ///< --set
  std::string vmcoreinfo_file;            ///< --vmcoreinfo: used instead of the image's note
  std::string symbols_file;               ///< --symbols: asked beside the kernel's own symbol table
  std::string config_file;                ///< --config: used instead of the configuration that is found
  /// Where the running system's files are looked for; tests put a tree of their own here.
  std::string system_root;
};

/// A machine whose memory an image holds. Facts are found when first asked for; after that they do not
/// change. Asking for facts is for one thread; an AddressSpace taken from here is for all.
class Machine {
 public:
  /// Finds the note; a dead image that carries none is searched for it. Throws Unsupported for an
  /// architecture that kvista does not know.
  Machine(std::unique_ptr<image::MemoryImage> image, Options options);

  const image::MemoryImage& image() const { return *image_; }
  const vmcoreinfo::VmcoreInfo& note() const { return note_.info; }
  /// Where the note was found ("ELF note", "memory at 0x..."); empty where there is none.
  const std::string& note_source() const { return note_.source; }
  /// What a search through memory found, where the image carries no note.
  const NoteChoice& notes_in_memory() const { return notes_in_memory_; }
  const Options& options() const { return options_; }
  /// By the image, or the note. Where neither tells, that of most machines.
  const Architecture& architecture() const { return *architecture_; }
  /// The facts that this architecture has, in the order in which they are shown.
  std::vector<FactInfo> facts() const;

  const Fact& fact(FactId id);
  std::optional<uint64_t> number(FactId id);
  std::optional<std::string> text(FactId id);
  std::optional<VirtRange> range(FactId id);
  /// As above, but throws NotFound with the reasons of all sources where the fact cannot be established.
  uint64_t need_number(FactId id);

  /// One sentence for each disagreement among the facts asked for so far, and for what the note and the image
  /// themselves complain of.
  std::vector<std::string> warnings() const;

  /// The kernel's address space. Throws NotFound where its root cannot be established.
  AddressSpace kernel_space();

  /// Takes a file's symbols as those that the user gives (--symbols): they are proven to be this kernel's.
  void use_symbol_file(const std::string& path, SymbolTable table);
  /// One more sentence among warnings().
  void add_warning(std::string text) { more_warnings_.push_back(std::move(text)); }

  // What follows is for probes and for floors above that read single variables.

  /// How far virtual addresses of the kernel image are from physical ones, by the architecture's image_fact
  /// alone.
  std::optional<uint64_t> image_offset();
  /// Throws as need_number().
  uint64_t need_image_offset();
  /// Whether an address is one of the kernel image, as far as the note tells.
  bool is_of_image(VirtAddr address) const { return architecture_->is_of_image(note(), address); }
  /// Where the kernel image's mapping puts `address`.
  std::optional<PhysAddr> image_phys(VirtAddr address);
  /// Reads from the kernel image's mapping.
  size_t read_image(VirtAddr address, std::span<std::byte> out);
  ByteOrder byte_order() const { return architecture_->byte_order; }
  /// The address of a variable: for a source of evidence by the symbol table that is being asked, else by the
  /// first that has it. Throws an Error that says why there is none.
  VirtAddr symbol(std::string_view name);
  /// The 8-byte or 4-byte value of a variable of the kernel image. Throws likewise.
  uint64_t variable(std::string_view name, unsigned size = 8);
  /// What one of the tables says of the symbols that facts need, and whether it can be used.
  const SymbolTable& symbol_table(Source source);
  /// The kernel's own symbol table. Throws NotFound where it cannot be used.
  const decode::Kallsyms& kallsyms();
  /// What the kernel was built with: the user's file where it fits, else what is found.
  const KernelConfig& config();
  /// The array of pointers to memory sections. Throws an Error that says why there is none.
  VirtAddr mem_section_array();
  /// A file of the running system, where this image is it. Throws NotFound otherwise.
  std::string system_file(std::string_view path);

 private:
  void establish(Fact& fact);
  void ask(Fact& fact, const Probe& probe);
  void ask(Fact& fact, const Probe& probe, Source source);
  void add(Fact& fact, Candidate candidate);
  void leave_out_foreign_range(Candidate& candidate) const;
  decode::Kallsyms load_kallsyms();
  SymbolTable read_kallsyms();
  std::vector<Source> symbol_sources() const;
  SymbolTable read_symbol_table(Source source);

  std::unique_ptr<image::MemoryImage> image_;
  Options options_;
  vmcoreinfo::Located note_;
  NoteChoice notes_in_memory_;
  const Architecture* architecture_;
  enum class State { unknown, asking, known };
  std::array<State, kFactCount> states_{};
  std::vector<Fact> facts_;
  std::optional<decode::Kallsyms> kallsyms_;
  std::map<Source, SymbolTable> symbol_tables_;  // those that were asked for
  std::optional<KernelConfig> config_;
  std::string config_refused_;  // why the user's file is not used
  std::vector<std::string> more_warnings_;
  std::optional<Source> asked_table_;  // by the source that is being asked
};

/// The kernel variables that facts are read from: looked up in one pass over the symbol table.
std::span<const std::string_view> wanted_symbols();

}  // namespace kvista::machine
