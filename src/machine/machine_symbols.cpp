// Machine's look-up of the kernel's variables, by each of the symbol tables that there can be.
#include <fmt/format.h>

#include <array>
#include <optional>

#include "base/endian.h"
#include "base/error.h"
#include "base/parallel.h"
#include "decode/kallsyms_search.h"
#include "machine/machine.h"

namespace kvista::machine {
namespace {

// Where the note says that the symbol table is: since 6.0 (5fd8fea935a1).
std::optional<decode::KallsymsTables> noted_tables(const vmcoreinfo::VmcoreInfo& note) {
  const auto pointer = [&](std::string_view name) {
    const auto address = note.symbol(name);
    return address ? std::optional(VirtAddr{*address}) : std::nullopt;
  };
  const auto names = pointer("kallsyms_names");
  const auto num_syms = pointer("kallsyms_num_syms");
  const auto token_table = pointer("kallsyms_token_table");
  const auto token_index = pointer("kallsyms_token_index");
  if (!names || !num_syms || !token_table || !token_index) return std::nullopt;
  return decode::KallsymsTables{*names,
                                *num_syms,
                                *token_table,
                                *token_index,
                                pointer("kallsyms_offsets"),
                                pointer("kallsyms_addresses"),
                                pointer("kallsyms_relative_base")};
}

// Where the tables can be: behind the text, and before the data (vmlinux.lds.S: text, RO_DATA, data). What
// lies further on is no more the kernel's own, another kernel perhaps.
std::optional<VirtRange> place_of_kallsyms(const vmcoreinfo::VmcoreInfo& note) {
  constexpr uint64_t kMostImage = uint64_t{64} << 20;
  const auto stext = note.symbol("_stext");
  if (!stext) return std::nullopt;
  const VirtAddr first{*stext};
  const auto data = note.symbol("init_uts_ns");
  const bool is_behind = data && *data > *stext && *data - *stext < kMostImage;
  return VirtRange{first, first + ((is_behind ? *data - *stext : kMostImage) - 1)};
}

// The tables that a search finds, of those that `known` proves.
decode::Kallsyms searched_kallsyms(const VirtReader& read, const vmcoreinfo::VmcoreInfo& note,
                                   ByteOrder order, std::span<const decode::Kallsyms::Known> known) {
  std::vector<decode::Kallsyms> proven;
  std::string places;
  std::string why;
  const auto place = place_of_kallsyms(note);
  for (const auto& tables : place ? decode::search_kallsyms(read, *place, order, default_threads())
                                  : std::vector<decode::KallsymsTables>()) {
    try {
      proven.emplace_back(read, tables, order, 8, known, wanted_symbols());
      places += fmt::format("{}{:#x}", places.empty() ? "" : ", ", tables.names.value);
    } catch (const FormatError& error) {
      if (why.empty()) why = error.what();
    }
  }
  if (why.empty())
    why = "VMCOREINFO has no SYMBOL(kallsyms_names) (kernels before 6.0), and a search finds no symbol table";
  if (proven.empty()) throw NotFound(why);
  if (proven.size() > 1)
    throw NotFound(fmt::format("ambiguous: symbol tables with the right addresses are at {}", places));
  return std::move(proven.front());
}

}  // namespace

decode::Kallsyms Machine::load_kallsyms() {
  std::vector<decode::Kallsyms::Known> known;
  for (const std::string_view name : {"_stext", "init_uts_ns"})
    if (const auto address = note().symbol(name)) known.push_back({name, VirtAddr{*address}});
  if (known.empty()) throw NotFound("VMCOREINFO has neither SYMBOL(_stext) nor SYMBOL(init_uts_ns)");
  // For several threads: no fact is asked for.
  VirtReader read = [image = image_.get(), offset = need_image_offset(),
                     is_of_image = architecture_->is_of_image,
                     note = &note_.info](VirtAddr at, std::span<std::byte> out) -> size_t {
    return is_of_image(*note, at) ? image->read(PhysAddr{at.value - offset}, out).done : 0;
  };
  const auto tables = noted_tables(note());
  if (!tables) return searched_kallsyms(read, note(), byte_order(), known);
  return {std::move(read), *tables, byte_order(), 8, known, wanted_symbols()};
}

SymbolTable Machine::read_kallsyms() {
  SymbolTable table;
  try {
    if (!kallsyms_) kallsyms_.emplace(load_kallsyms());
    const decode::Kallsyms& kallsyms = *kallsyms_;
    for (const auto& found : kallsyms.find(wanted_symbols()))
      table.symbols.addresses[found.name].insert(found.address);
    table.damaged = kallsyms.damaged();
  } catch (const Error& error) {
    table.failure = error.what();
  }
  return table;
}

const decode::Kallsyms& Machine::kallsyms() {
  need_image_offset();
  const SymbolTable& table = symbol_table(Source::kallsyms);
  if (!kallsyms_) throw NotFound(table.failure);
  return *kallsyms_;
}

// The kernel's own first.
std::vector<Source> Machine::symbol_sources() const {
  std::vector<Source> all = {Source::kallsyms};
  if (image_->traits().live) all.push_back(Source::proc_kallsyms);
  if (!options_.symbols_file.empty()) all.push_back(Source::symbol_file);
  return all;
}

SymbolTable Machine::read_symbol_table(Source source) {
  if (source == Source::kallsyms) return read_kallsyms();
  if (source == Source::proc_kallsyms)
    return read_proc_kallsyms(options_.system_root + "/proc/kallsyms", *this);
  SymbolTable table = read_symbol_file(options_.symbols_file, *this);
  prove_symbol_file(*this, table);
  return table;
}

const SymbolTable& Machine::symbol_table(Source source) {
  const auto known = symbol_tables_.find(source);
  if (known != symbol_tables_.end()) return known->second;
  return symbol_tables_.emplace(source, read_symbol_table(source)).first->second;
}

void Machine::use_symbol_file(const std::string& path, SymbolTable table) {
  options_.symbols_file = path;
  symbol_tables_.insert_or_assign(Source::symbol_file, std::move(table));
}

VirtAddr Machine::symbol(std::string_view name) {
  // The image's fact comes first: it asks for no symbol, and without it nothing can be read.
  need_image_offset();
  if (asked_table_) return symbol_table(*asked_table_).at(name);
  std::string why;
  for (const Source source : symbol_sources()) try {
      return symbol_table(source).at(name);
    } catch (const NotFound& error) {
      if (why.empty()) why = error.what();
    }
  throw NotFound(why);
}

uint64_t Machine::variable(std::string_view name, unsigned size) {
  const VirtAddr at = symbol(name);
  std::array<std::byte, 8> bytes{};
  const auto wanted = std::span(bytes).first(size);
  if (read_image(at, wanted) != size)
    throw NotFound(fmt::format("{} at {:#x} is not in the image", name, at.value));
  return size == 8 ? load<uint64_t>(bytes.data(), byte_order()) : load<uint32_t>(bytes.data(), byte_order());
}

}  // namespace kvista::machine
