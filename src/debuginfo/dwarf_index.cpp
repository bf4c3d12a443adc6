#include "debuginfo/dwarf_index.h"

#include <dwarf.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "base/parallel.h"
#include "debuginfo/dwarf_enumerator.h"

namespace kvista::debuginfo {
namespace {

// What of an entry's attributes counts here, taken in one pass over them.
struct Attributes {
  std::string_view name;
  std::optional<uint64_t> size;
  std::optional<uint64_t> line;
  std::optional<uint64_t> address;
  bool is_declaration = false;
  bool has_specification = false;
};

// The address of a variable that is always at one place.
std::optional<uint64_t> fixed_address(Dwarf_Attribute& location) {
  Dwarf_Op* expression = nullptr;
  size_t length = 0;
  if (dwarf_getlocation(&location, &expression, &length) != 0 || length != 1) return std::nullopt;
  if (expression[0].atom == DW_OP_addr) return expression[0].number;
  return std::nullopt;
}

int take_attribute(Dwarf_Attribute* attribute, void* into) {
  Attributes& all = *static_cast<Attributes*>(into);
  switch (dwarf_whatattr(attribute)) {
    case DW_AT_name:
      if (const char* name = dwarf_formstring(attribute)) all.name = name;
      break;
    case DW_AT_byte_size:
      all.size = to_number(*attribute);
      break;
    case DW_AT_decl_line:
      all.line = to_number(*attribute);
      break;
    case DW_AT_declaration:
    case DW_AT_signature:
      all.is_declaration = true;
      break;
    case DW_AT_specification:
      all.has_specification = true;
      break;
    case DW_AT_location:
      all.address = fixed_address(*attribute);
      break;
    case DW_AT_low_pc: {
      Dwarf_Addr address = 0;
      if (dwarf_formaddr(attribute, &address) == 0) all.address = address;
      break;
    }
    default:
      break;
  }
  return DWARF_CB_OK;
}

std::optional<EntryKind> kind_of(int tag) {
  switch (tag) {
    case DW_TAG_base_type:
      return EntryKind::base;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
      return EntryKind::structure;
    case DW_TAG_union_type:
      return EntryKind::union_type;
    case DW_TAG_enumeration_type:
      return EntryKind::enumeration;
    case DW_TAG_typedef:
      return EntryKind::type_definition;
    case DW_TAG_variable:
      return EntryKind::variable;
    case DW_TAG_subprogram:
      return EntryKind::function;
    default:
      return std::nullopt;
  }
}

// Units in other languages have types of the same names; an assembler's functions have none.
bool is_language_of_kernel(uint64_t language) {
  constexpr uint64_t kRust = 0x1c;
  return language != kRust && language != DW_LANG_Mips_Assembler;
}

// The same thing in another unit has the same name, at the same place of the string table most often.
struct Seen {
  const char* name;
  EntryKind kind;
  uint64_t value;
  uint32_t line;
  friend bool operator==(const Seen&, const Seen&) = default;
};
struct HashSeen {
  size_t operator()(const Seen& one) const {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
    uint64_t hash = reinterpret_cast<uintptr_t>(one.name) * kOdd;
    hash = (hash ^ one.value ^ uint64_t{one.line} << 32) * kOdd;
    return (hash ^ static_cast<uint64_t>(one.kind)) * kOdd >> 16;
  }
};

// One thread's part: a handle, and what it has found.
class Worker {
 public:
  explicit Worker(const std::string& path) : handle_(path) {}

  const DwarfHandle& handle() const { return handle_; }
  void add_unit(DieRef ref) {
    Dwarf_Die unit = handle_.at(ref);
    if (!is_language_of_kernel(number_of(unit, DW_AT_language).value_or(0))) return;
    for_each_child(unit, [&](Dwarf_Die& die) {
      if (const auto kind = kind_of(dwarf_tag(&die))) add(die, *kind);
    });
  }
  std::vector<IndexEntry> entries;

 private:
  void add(Dwarf_Die& die, EntryKind kind) {
    Attributes all;
    dwarf_getattrs(&die, take_attribute, &all, 0);
    if (all.is_declaration) return;
    if (kind == EntryKind::variable && !all.address) return;
    if (all.name.empty() && all.has_specification) {
      if (auto declared = target_of(die, DW_AT_specification)) all.name = name_of(*declared);
    }
    const bool has_address = kind == EntryKind::variable || kind == EntryKind::function;
    const uint64_t value = (has_address ? all.address : all.size).value_or(0);
    IndexEntry entry{all.name, kind, value, static_cast<uint32_t>(all.line.value_or(0)), handle_.where(die)};
    if (kind == EntryKind::enumeration) return add_enumeration(die, entry);
    if (!entry.name.empty() && is_new(entry, entry.name)) entries.push_back(entry);
  }

  // One without a name is known by its first enumerator.
  void add_enumeration(Dwarf_Die& die, const IndexEntry& entry) {
    Dwarf_Die first{};
    if (dwarf_child(&die, &first) != 0) return;
    if (!is_new(entry, entry.name.empty() ? name_of(first) : entry.name)) return;
    if (!entry.name.empty()) entries.push_back(entry);
    for_each_child(die, [&](Dwarf_Die& child) {
      if (dwarf_tag(&child) != DW_TAG_enumerator) return;
      const std::string_view name = name_of(child);
      if (!name.empty())
        entries.push_back({name, EntryKind::enumerator, enumerator_value(child), entry.line, entry.die});
    });
  }

  bool is_new(const IndexEntry& entry, std::string_view name) {
    return seen_.insert({name.data(), entry.kind, entry.value, entry.line}).second;
  }

  DwarfHandle handle_;
  std::unordered_set<Seen, HashSeen> seen_;
};

auto key_of(const IndexEntry& entry) {
  return std::tie(entry.name, entry.kind, entry.value, entry.line);
}

}  // namespace

DwarfIndex::DwarfIndex(const std::string& path, unsigned threads) {
  std::vector<std::unique_ptr<Worker>> workers(threads);
  workers[0] = std::make_unique<Worker>(path);
  const std::vector<DieRef> units = workers[0]->handle().units(damage_);
  if (workers[0]->handle().is_compressed()) threads = 1;
  std::mutex mutex;
  std::atomic<size_t> damaged = 0;
  parallel_for(units.size(), threads, [&](size_t item, unsigned number) {
    auto& worker = workers[number];
    if (!worker) worker = std::make_unique<Worker>(path);
    try {
      worker->add_unit(units[item]);
    } catch (const FormatError& error) {
      ++damaged;
      const std::lock_guard lock(mutex);
      if (damage_.empty()) damage_ = error.what();
    }
  });
  if (damaged > 0) damage_ += fmt::format(" ({} of {} units are not whole)", damaged.load(), units.size());
  std::vector<IndexEntry> found;
  for (const auto& worker : workers) {
    if (!worker) continue;
    found.insert(found.end(), worker->entries.begin(), worker->entries.end());
    worker->entries = {};
  }
  keep(std::move(found));
}

void DwarfIndex::keep(std::vector<IndexEntry> found) {
  std::sort(found.begin(), found.end(), [](const IndexEntry& a, const IndexEntry& b) {
    return std::tuple_cat(key_of(a), std::tie(a.die)) < std::tuple_cat(key_of(b), std::tie(b.die));
  });
  found.erase(std::unique(found.begin(), found.end(),
                          [](const IndexEntry& a, const IndexEntry& b) { return key_of(a) == key_of(b); }),
              found.end());
  entries_.assign(found.begin(), found.end());
  // The names are the workers' handles', which go.
  size_t size = 0;
  std::string_view last;
  for (const IndexEntry& entry : entries_) {
    if (entry.name != last) size += entry.name.size();
    last = entry.name;
  }
  names_.reserve(size);
  last = {};
  std::string_view kept;
  for (IndexEntry& entry : entries_) {
    if (entry.name != last) {
      last = entry.name;
      const size_t at = names_.size();
      names_.insert(names_.end(), last.begin(), last.end());
      kept = std::string_view(names_.data() + at, last.size());
    }
    entry.name = kept;
  }
}

std::span<const IndexEntry> DwarfIndex::find(std::string_view name) const {
  const auto first =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const IndexEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  auto last = first;
  while (last != entries_.end() && last->name == name) ++last;
  return {first, last};
}

}  // namespace kvista::debuginfo
