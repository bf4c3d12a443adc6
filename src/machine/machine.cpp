#include "machine/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace kvista::machine {
namespace {

constexpr size_t kMaxSystemFile = size_t{4} << 20;

struct KnownMachine {
  uint16_t elf_machine;
  const char* name;  // with its article
};
// For the message: architectures that kvista does not read yet.
constexpr std::array kOtherMachines = {KnownMachine{3, "an i386"}, KnownMachine{21, "a ppc64"},
                                       KnownMachine{40, "an arm"}, KnownMachine{258, "a loongarch64"}};

std::string names_of_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& one : architectures()) names.emplace_back(one.name);
  return fmt::format("{} and {}", fmt::join(names.begin(), names.end() - 1, ", "), names.back());
}

// Nothing where the image does not say. Throws Unsupported for what kvista does not read.
const Architecture* architecture_of(const image::Traits& traits) {
  if (traits.elf_machine == 0) return nullptr;
  if (const Architecture* known = architecture_of_elf(traits.elf_machine)) {
    if (traits.byte_order == known->byte_order) return known;
    throw Unsupported(
        fmt::format("{}: the header says {} and {}-endian, which does not exist: the file is damaged",
                    traits.path, known->name, traits.byte_order == ByteOrder::big ? "big" : "little"));
  }
  for (const KnownMachine& known : kOtherMachines)
    if (known.elf_machine == traits.elf_machine)
      throw Unsupported(fmt::format("{}: the memory of {} machine; this version of kvista reads {} only",
                                    traits.path, known.name, names_of_architectures()));
  throw Unsupported(
      fmt::format("{}: the memory of an unknown machine (ELF machine number {}); this version of kvista "
                  "reads {} only",
                  traits.path, traits.elf_machine, names_of_architectures()));
}

// A fact that a source asked for and that is not there: for the source's own fact its name says enough.
class MissingFact : public NotFound {
 public:
  MissingFact(const std::string& what, const char* name) : NotFound(what), name_(name) {}
  const char* name() const { return name_; }

 private:
  const char* name_;
};

bool verified(const Fact& fact) {
  return std::any_of(fact.candidates.begin(), fact.candidates.end(),
                     [](const Candidate& c) { return c.proves && c.verified.value_or(false); });
}

// Two sources support one value where they say the same. All symbol tables lead to the same word in memory:
// together they are one.
size_t count_supporters(const Fact& fact, const FactValue& value) {
  size_t others = 0;
  bool by_symbol = false;
  for (const Candidate& c : fact.candidates) {
    if (!c.proves || c.value != value) continue;
    if (reads_symbols(c.source))
      by_symbol = true;
    else
      ++others;
  }
  return others + (by_symbol ? 1 : 0);
}

// A value that holds, or cannot be checked, and that two sources give.
bool settled(const Fact& fact) {
  return std::any_of(fact.candidates.begin(), fact.candidates.end(), [&](const Candidate& c) {
    return c.proves && c.value && c.verified.value_or(true) && count_supporters(fact, *c.value) >= 2;
  });
}

void choose(Fact& fact) {
  const Candidate* best = nullptr;
  // The user's word first; then what memory confirms; then what most sources say; then rank.
  const auto merit = [&](const Candidate& c) {
    const int checked = c.verified ? (*c.verified ? 2 : 0) : 1;
    return std::tuple(c.forced, checked, count_supporters(fact, *c.value));
  };
  for (const Candidate& c : fact.candidates)
    if (c.proves && c.value && (best == nullptr || merit(c) > merit(*best))) best = &c;
  const bool refuted = best != nullptr && best->verified && !*best->verified;
  if (best != nullptr && (!refuted || best->forced)) {
    fact.value = best->value;
    fact.source = best->source;
    fact.verified = best->verified.value_or(count_supporters(fact, *best->value) >= 2);
  }
  for (Candidate& c : fact.candidates) {
    if (!c.value) continue;
    if (&c == best && fact.value)
      c.verdict = Verdict::chosen;
    else if (fact.value && c.value == fact.value)
      c.verdict = Verdict::agrees;
    else
      c.verdict = c.proves ? Verdict::disagrees : Verdict::candidate;
  }
}

}  // namespace

bool reads_symbols(Source source) {
  return source == Source::kallsyms || source == Source::proc_kallsyms || source == Source::symbol_file;
}

Machine::Machine(std::unique_ptr<image::MemoryImage> image, Options options)
    : image_(std::move(image)),
      options_(std::move(options)),
      architecture_(architecture_of(image_->traits())) {
  if (!options_.vmcoreinfo_file.empty()) {
    note_ = vmcoreinfo::read_file(options_.vmcoreinfo_file);
  } else if (auto found = vmcoreinfo::locate(*image_, options_.system_root + "/sys/kernel/vmcoreinfo")) {
    note_ = std::move(*found);
  } else if (!image_->traits().live) {
    notes_in_memory_ = find_note_in_memory(*image_, options_.explain ? NoteSearch::all : NoteSearch::first);
    if (notes_in_memory_.located) note_ = *notes_in_memory_.located;
  }
  if (architecture_ == nullptr) architecture_ = architecture_of_note(note());
  if (architecture_ == nullptr) architecture_ = &architectures().front();
  facts_.resize(kFactCount);
  for (const FactInfo& info : all_facts()) facts_.at(static_cast<size_t>(info.id)).id = info.id;
  // A file that the user gives is looked at whatever is asked for: that it does not fit must be said.
  if (!options_.symbols_file.empty()) symbol_table(Source::symbol_file);
  if (!options_.config_file.empty()) {
    KernelConfig given = read_config_file(options_.config_file, note().text_of("OSRELEASE").value_or(""));
    if (given.text)
      config_ = std::move(given);
    else
      config_refused_ = std::move(given.failure);
  }
}

const Fact& Machine::fact(FactId id) {
  const auto index = static_cast<size_t>(id);
  Fact& fact = facts_.at(index);
  // A source that asks for the very fact it should establish finds it absent.
  if (states_.at(index) != State::unknown) return fact;
  states_.at(index) = State::asking;
  establish(fact);
  states_.at(index) = State::known;
  return fact;
}

void Machine::establish(Fact& fact) {
  // Collected aside, so that a source that asks back for this fact does not see half of it.
  Fact found{fact.id, std::nullopt, Source::note, false, {}};
  if (const auto user = options_.overrides.find(fact.id); user != options_.overrides.end())
    add(found, {Source::user, user->second, "--set", true, true, std::nullopt, Verdict::unavailable});
  for (const Probe& probe : probes_of(*architecture_).probes) {
    if (probe.fact != fact.id) continue;
    if (!options_.explain && (settled(found) || (probe.costly && verified(found)))) continue;
    ask(found, probe);
  }
  choose(found);
  fact = std::move(found);
}

// What reads a variable can be asked with each symbol table.
void Machine::ask(Fact& fact, const Probe& probe) {
  if (probe.source != Source::kallsyms) return ask(fact, probe, probe.source);
  for (const Source table : symbol_sources()) {
    // /proc/kallsyms is long, and says what the table says that it is made from.
    const bool needed = table != Source::proc_kallsyms || options_.explain || !fact.candidates.back().value;
    if (!needed) continue;
    ask(fact, probe, table);
  }
}

void Machine::ask(Fact& fact, const Probe& probe, Source source) {
  Candidate candidate{source, std::nullopt, {}, probe.proves, false, std::nullopt, Verdict::unavailable};
  const auto table = reads_symbols(source) ? std::optional(source) : std::nullopt;
  const auto asked_before = std::exchange(asked_table_, table);
  try {
    Finding finding = probe.ask(*this);
    candidate.value = std::move(finding.value);
    candidate.detail = std::move(finding.detail);
    leave_out_foreign_range(candidate);
  } catch (const MissingFact& missing) {
    candidate.detail = fmt::format("depends on {}", missing.name());
  } catch (const Error& error) {
    candidate.detail = error.what();
  }
  asked_table_ = asked_before;
  if (source == Source::note && note_.source == "user") candidate.source = Source::user;
  add(fact, std::move(candidate));
}

// A range that does not begin in the kernel's part of the addresses is no answer.
void Machine::leave_out_foreign_range(Candidate& candidate) const {
  const auto* range = candidate.value ? std::get_if<VirtRange>(&*candidate.value) : nullptr;
  if (range == nullptr || range->first >= architecture_->first_address) return;
  candidate.detail = fmt::format("{}: {:#x} is no kernel address", candidate.detail, range->first.value);
  candidate.value.reset();
}

void Machine::add(Fact& fact, Candidate candidate) {
  if (candidate.value) {
    for (const Check& check : probes_of(*architecture_).checks) {
      if (check.fact != fact.id) continue;
      try {
        candidate.verified = check.verify(*this, *candidate.value);
      } catch (const Error&) {
        candidate.verified.reset();  // a fact that the check depends on cannot be established
      }
    }
  }
  fact.candidates.push_back(std::move(candidate));
}

std::optional<uint64_t> Machine::number(FactId id) {
  const Fact& found = fact(id);
  if (!found.value) return std::nullopt;
  const auto* value = std::get_if<uint64_t>(&*found.value);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::string> Machine::text(FactId id) {
  const Fact& found = fact(id);
  if (!found.value) return std::nullopt;
  const auto* value = std::get_if<std::string>(&*found.value);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<VirtRange> Machine::range(FactId id) {
  const Fact& found = fact(id);
  if (!found.value) return std::nullopt;
  const auto* value = std::get_if<VirtRange>(&*found.value);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

uint64_t Machine::need_number(FactId id) {
  if (const auto value = number(id)) return *value;
  const FactInfo& info = info_of(id);
  if (note_.info.empty())
    throw MissingFact(
        fmt::format("{}: {}; without it {} cannot be established: give one with --vmcoreinfo FILE, "
                    "or --set {}=VALUE",
                    image_->traits().path, describe_missing_note(*image_, notes_in_memory_), info.name,
                    info.name),
        info.name);
  if (const Architecture* other = architecture_of_note(note()); other != nullptr && other != architecture_)
    throw MissingFact(fmt::format("{}: the image is the memory of {}, but its VMCOREINFO is that of a kernel "
                                  "for {}: one of the two is "
                                  "wrong, and {} cannot be established",
                                  image_->traits().path, architecture_->name, other->name, info.name),
                      info.name);
  std::string reasons;
  for (const Candidate& c : fact(id).candidates) {
    // That there is no configuration explains nothing.
    if (!c.proves || (c.source == Source::configuration && !c.value)) continue;
    const std::string said =
        c.value ? fmt::format("says {}, which memory refutes", format(*c.value, info.form)) : c.detail;
    const std::string who =
        said.starts_with(describe(c.source)) ? "" : describe(c.source) + std::string(": ");
    reasons += fmt::format("{}{}{}", reasons.empty() ? "" : "; ", who, said);
  }
  throw MissingFact(
      fmt::format("{}: {} cannot be established ({}): if you know it, give it with --set {}=VALUE",
                  image_->traits().path, info.name, reasons.empty() ? "no source" : reasons, info.name),
      info.name);
}

std::vector<std::string> Machine::warnings() const {
  std::vector<std::string> all(image_->warnings().begin(), image_->warnings().end());
  all.insert(all.end(), notes_in_memory_.warnings.begin(), notes_in_memory_.warnings.end());
  const auto of_note = note_.info.warnings();
  all.insert(all.end(), of_note.begin(), of_note.end());
  for (const auto& [source, table] : symbol_tables_) {
    if (table.damaged != 0)
      all.push_back(
          fmt::format("kallsyms: the names of {} symbols are damaged, or not in the image", table.damaged));
    if (source == Source::symbol_file && !table.failure.empty())
      all.push_back(fmt::format("{} is not used: {}", options_.symbols_file, table.failure));
  }
  all.insert(all.end(), more_warnings_.begin(), more_warnings_.end());
  if (!config_refused_.empty())
    all.push_back(fmt::format("{} is not used: {}", options_.config_file, config_refused_));
  for (const Fact& fact : facts_) {
    const FactInfo& info = info_of(fact.id);
    for (const Candidate& c : fact.candidates) {
      if (c.verdict != Verdict::disagrees) continue;
      const std::string said =
          fmt::format("{}: {} says {}", info.name, describe(c.source), format(*c.value, info.form));
      if (fact.value)
        all.push_back(fmt::format("{}, but {} says {}, which is used ({})", said, describe(fact.source),
                                  format(*fact.value, info.form),
                                  fact.verified ? "verified" : "not verified"));
      else
        all.push_back(fmt::format("{}, which memory refutes; no source has a value that holds", said));
    }
  }
  return all;
}

AddressSpace Machine::kernel_space() {
  const PhysAddr root{need_number(FactId::root_page_table)};
  return {*image_, root, architecture_->paging(*this)};
}

std::vector<FactInfo> Machine::facts() const {
  std::vector<FactInfo> mine;
  const auto& probes = probes_of(*architecture_).probes;
  for (const FactInfo& info : all_facts())
    if (std::any_of(probes.begin(), probes.end(), [&](const Probe& probe) { return probe.fact == info.id; }))
      mine.push_back(info);
  return mine;
}

std::optional<uint64_t> Machine::image_offset() {
  const auto value = number(architecture_->image_fact);
  return value ? std::optional(architecture_->image_offset(*value)) : std::nullopt;
}

uint64_t Machine::need_image_offset() {
  return architecture_->image_offset(need_number(architecture_->image_fact));
}

std::optional<PhysAddr> Machine::image_phys(VirtAddr address) {
  const auto offset = image_offset();
  if (!offset || !is_of_image(address)) return std::nullopt;
  return PhysAddr{address.value - *offset};
}

size_t Machine::read_image(VirtAddr address, std::span<std::byte> out) {
  const auto phys = image_phys(address);
  return phys ? image_->read(*phys, out).done : 0;
}

const KernelConfig& Machine::config() {
  if (!config_) {
    // Whichever table is being asked: the configuration is no witness for it.
    const auto asked_before = std::exchange(asked_table_, std::nullopt);
    config_ = find_config(*this);
    asked_table_ = asked_before;
  }
  return *config_;
}

VirtAddr Machine::mem_section_array() {
  const auto address = note().symbol("mem_section");
  if (!address) throw NotFound("VMCOREINFO has no SYMBOL(mem_section): no sparse memory model");
  const VirtAddr value{*address};
  if (!is_of_image(value)) return value;
  // The symbol is that of a pointer to the array (83e3c48729d9, 4.15, before a0b1280368d1 exported its
  // value), or of the array itself. What follows a pointer is a root, which is aligned; what follows a root
  // is a section_mem_map, whose lowest bit says that the section is present.
  const auto word_at = [&](VirtAddr at) {
    std::array<std::byte, 8> bytes{};
    const bool readable = is_of_image(at) ? read_image(at, bytes) == bytes.size()
                                          : kernel_space().read(at, bytes).done == bytes.size();
    if (!readable) throw NotFound(fmt::format("mem_section: {:#x} is not in the image", at.value));
    return load<uint64_t>(bytes.data(), byte_order());
  };
  const VirtAddr target{word_at(value)};
  return (word_at(target) & 7) == 0 ? target : value;
}

std::string Machine::system_file(std::string_view path) {
  if (!image_->traits().live) throw NotFound("the image is not the running system");
  const auto text = read_text_file(fmt::format("{}{}", options_.system_root, path), kMaxSystemFile);
  if (!text) throw NotFound(fmt::format("{} cannot be read", path));
  return *text;
}

}  // namespace kvista::machine
