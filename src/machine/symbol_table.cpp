#include "machine/symbol_table.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/cursor.h"
#include "base/error.h"
#include "base/file.h"
#include "decode/elf_symbols.h"
#include "machine/machine.h"
#include "machine/probes.h"

namespace kvista::machine {
namespace {

constexpr std::string_view kBanner = "linux_banner";

// The note's symbols in the kernel image. Others are values of variables (mem_section, vmemmap).
std::map<std::string_view, VirtAddr> symbols_of(const Machine& machine) {
  std::map<std::string_view, VirtAddr> all;
  for (const vmcoreinfo::Entry& entry : machine.note().entries())
    if (entry.kind == vmcoreinfo::Kind::symbol && entry.number &&
        machine.is_of_image(VirtAddr{*entry.number}))
      all[entry.name] = VirtAddr{*entry.number};
  return all;
}

std::vector<std::string_view> names_to_find(const Machine& machine) {
  std::vector<std::string_view> names(wanted_symbols().begin(), wanted_symbols().end());
  for (const auto& [name, address] : symbols_of(machine)) names.push_back(name);
  names.push_back(kBanner);
  return names;
}

// A text of any size, piece by piece: /proc/kallsyms has 10 MB and no size.
decode::FoundSymbols read_text(const File& file, const std::vector<std::string_view>& names,
                               const decode::VisitFileSymbol& visit = {}) {
  decode::SymbolTextParser parser(names, visit);
  constexpr size_t kPiece = size_t{1} << 18;
  constexpr uint64_t kMost = uint64_t{1} << 30;
  std::vector<std::byte> piece(kPiece);
  for (uint64_t at = 0; at < kMost;) {
    int error = 0;
    const size_t done = file.read_at(at, piece, &error);
    if (error != 0)
      throw AccessError(fmt::format("{}: cannot be read: {}", file.path(), std::strerror(error)));
    if (done == 0) break;
    parser.add({reinterpret_cast<const char*>(piece.data()), done});
    at += done;
  }
  return parser.finish();
}

decode::FoundSymbols read_elf(const File& file, const std::vector<std::string_view>& names,
                              const decode::VisitFileSymbol& visit = {}) {
  try {
    return decode::read_elf_symbols(
        [&](uint64_t offset, std::span<std::byte> out) { return file.read_at(offset, out); }, names, visit);
  } catch (const FormatError& error) {
    throw FormatError(fmt::format("{}: a damaged ELF file: {}", file.path(), error.what()), error.offset());
  }
}

bool is_elf(const File& file) {
  std::array<std::byte, 4> magic{};
  constexpr std::array kMagic = {std::byte{0x7f}, std::byte{'E'}, std::byte{'L'}, std::byte{'F'}};
  return file.read_at(0, magic) == magic.size() && magic == kMagic;
}

// How far the note's symbols are from the table's, and how many both have. Nothing, and `failure`, where that
// is not one distance that KASLR can make.
struct Shift {
  uint64_t distance = 0;
  size_t common = 0;
};
std::optional<Shift> common_shift(SymbolTable& table, const Machine& machine) {
  Shift shift;
  std::vector<std::string> wrong;
  for (const auto& [name, address] : symbols_of(machine)) {
    const auto at = table.symbols.addresses.find(name);
    if (at == table.symbols.addresses.end() || at->second.size() != 1) continue;
    const VirtAddr there = *at->second.begin();
    if (shift.common++ == 0) shift.distance = address - there;
    if (address - there != shift.distance || shift.distance % machine.architecture().kaslr_align != 0)
      wrong.push_back(
          fmt::format("{} is at {:#x}, in VMCOREINFO at {:#x}", name, there.value, address.value));
  }
  if (wrong.empty()) return shift;
  table.failure = fmt::format(
      "the symbols are of another kernel: {}{}", wrong.front(),
      wrong.size() == 1 ? "" : fmt::format(", and {} more are not as far apart", wrong.size() - 1));
  return std::nullopt;
}

// What linux_banner or init_uts_ns says in memory. Empty where neither can be read.
std::string release_in_memory(Machine& machine, const SymbolTable& table, uint64_t shift) {
  constexpr std::string_view kStart = "Linux version ";
  const auto banner = table.symbols.addresses.find(kBanner);
  if (banner != table.symbols.addresses.end() && banner->second.size() == 1) {
    std::array<std::byte, 128> bytes{};
    const size_t done = machine.read_image(*banner->second.begin() + shift, bytes);
    const std::string_view text = as_text(std::span(bytes).first(done));
    if (text.starts_with(kStart))
      return std::string(text.substr(kStart.size(), text.find(' ', kStart.size()) - kStart.size()));
    if (done == bytes.size()) return "no kernel";
  }
  const auto offset = machine.image_offset();
  const auto uts = table.symbols.addresses.contains("init_uts_ns") && offset ? read_utsname(machine, *offset)
                                                                             : std::nullopt;
  return uts ? uts->release : "";
}

// Why the table cannot be taken for this kernel's; empty where it can.
std::string doubts(Machine& machine, const SymbolTable& table, const Shift& shift) {
  const auto build_id = noted_build_id(machine.note());
  if (build_id && !table.symbols.build_id.empty()) {
    if (*build_id != table.symbols.build_id)
      return fmt::format("the symbols are of another kernel: its build-id is {}, VMCOREINFO's is {}",
                         table.symbols.build_id, *build_id);
    if (shift.common > 0) return {};
  }
  if (shift.common < 2)
    return fmt::format(
        "the symbols cannot be proven to be this kernel's: {} of them {} in VMCOREINFO, too, and two are "
        "needed",
        shift.common, shift.common == 1 ? "is" : "are");
  const std::string release = release_in_memory(machine, table, shift.distance);
  const auto noted = machine.note().text_of("OSRELEASE");
  if (release.empty() || !noted)
    return "the symbols cannot be proven to be this kernel's: neither linux_banner nor init_uts_ns can be "
           "read in memory";
  if (release != *noted)
    return fmt::format("the symbols are of another kernel: by them memory shows {}, VMCOREINFO says {}",
                       release, *noted);
  return {};
}

}  // namespace

VirtAddr SymbolTable::at(std::string_view name) const {
  if (!failure.empty()) throw NotFound(failure);
  const auto found = symbols.addresses.find(name);
  if (found == symbols.addresses.end())
    throw NotFound(fmt::format("the kernel's symbol table has no {}{}", name,
                               damaged == 0 ? "" : fmt::format(" ({} of its symbols are damaged)", damaged)));
  if (found->second.size() != 1)
    throw NotFound(fmt::format("ambiguous: the kernel's symbol table has {} at {:#x} and at {:#x}", name,
                               found->second.begin()->value, found->second.rbegin()->value));
  return *found->second.begin();
}

SymbolTable read_proc_kallsyms(const std::string& path, const Machine& machine) {
  SymbolTable table;
  try {
    table.symbols = read_text(File::open(path), names_to_find(machine));
  } catch (const Error& error) {
    table.failure = error.what();
    return table;
  }
  if (table.symbols.nonzero == 0) {
    table.failure =
        "/proc/kallsyms shows no addresses: run kvista as root, and where kernel.kptr_restrict is 2, set it "
        "to 1";
    return table;
  }
  const auto shift = common_shift(table, machine);
  if (!shift) return table;
  if (shift->common < 2)
    table.failure = fmt::format(
        "/proc/kallsyms has {} of VMCOREINFO's symbols, and two are needed to trust it", shift->common);
  else if (shift->distance != 0)
    table.failure = fmt::format("/proc/kallsyms and VMCOREINFO are {:#x} apart", shift->distance);
  return table;
}

SymbolTable read_symbol_file(const std::string& path, const Machine& machine) {
  const auto names = names_to_find(machine);
  const File file = File::open(path);
  if (file.is_directory()) throw AccessError(fmt::format("{}: is a directory", path));
  SymbolTable table;
  if (is_elf(file)) {
    table.symbols = read_elf(file, names);
    if (table.symbols.count == 0)
      throw FormatError(fmt::format("{}: an ELF file without a symbol table: it is stripped; give a vmlinux "
                                    "with symbols, or System.map",
                                    path),
                        0);
    return table;
  }
  table.symbols = read_text(file, names);
  if (table.symbols.count == 0)
    throw FormatError(
        fmt::format(
            "{}: holds no symbols: expected a vmlinux, or lines \"ADDRESS TYPE NAME\" as in System.map "
            "and /proc/kallsyms (Debian's real System.map is in the package linux-image-VERSION-dbg)",
            path),
        0);
  if (table.symbols.nonzero == 0)
    throw FormatError(fmt::format("{}: all addresses are 0: it was copied from /proc/kallsyms without the "
                                  "right to see them; copy it as root",
                                  path),
                      0);
  return table;
}

void for_each_file_symbol(const std::string& path, const decode::VisitFileSymbol& visit) {
  const File file = File::open(path);
  if (is_elf(file))
    read_elf(file, {}, visit);
  else
    read_text(file, {}, visit);
}

void prove_symbol_file(Machine& machine, SymbolTable& table) {
  const auto shift = common_shift(table, machine);
  if (!shift) return;
  table.failure = doubts(machine, table, *shift);
  if (!table.failure.empty()) return;
  table.shift = shift->distance;
  for (auto& [name, addresses] : table.symbols.addresses) {
    std::set<VirtAddr> moved;
    for (const VirtAddr address : addresses) moved.insert(address + shift->distance);
    addresses = std::move(moved);
  }
}

}  // namespace kvista::machine
