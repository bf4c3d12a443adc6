#include "kernel/modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "decode/module_symbols.h"
#include "kernel/session.h"
#include "kernel/walk.h"

namespace kvista::kernel {
namespace {

constexpr uint64_t kMostSize = uint64_t{1} << 32;
constexpr size_t kMostName = 256;

// enum module_state: live, coming, going, unformed.
constexpr std::array kStates = {"Live", "Loading", "Unloading", "Unformed"};
constexpr uint64_t kUnformed = 3;

void add_range(Module& module, const Value& base, const Value& size) {
  const VirtAddr first = base.target();
  const uint64_t bytes = size.number();
  if (first.value == 0 || bytes == 0) return;
  if (bytes > kMostSize || first.value + bytes - 1 < first.value)
    throw NotFound(fmt::format("a part of it is at {:#x} and has {} bytes", first.value, bytes));
  module.ranges.push_back({first, first + (bytes - 1)});
}

// Where its parts are: an array since ac3b43283923 (6.4), two before, and two by their members before 4.5.
void read_ranges(Module& module) {
  const Value& object = module.object;
  if (object.has("mem")) {
    const Value parts = object["mem"];
    module.base = parts[0]["base"].target();
    for (uint64_t i = 0; i < parts.type().count(); ++i) add_range(module, parts[i]["base"], parts[i]["size"]);
  } else if (object.has("core_layout")) {
    module.base = object["core_layout"]["base"].target();
    for (const char* part : {"core_layout", "init_layout"})
      add_range(module, object[part]["base"], object[part]["size"]);
  } else {
    module.base = object["module_core"].target();
    add_range(module, object["module_core"], object["core_size"]);
    add_range(module, object["module_init"], object["init_size"]);
  }
  module.size = 0;
  for (const VirtRange& range : module.ranges) *module.size += range.last - range.first + 1;
}

// The letters of kernel/panic.c's taint_flags, of those that concern modules.
std::string taint_letters(const Session& session, uint64_t taints) {
  if (taints == 0) return {};
  const Value flags = session.own_global("taint_flags");
  const uint64_t known = std::min<uint64_t>(flags.type().count(), 64);
  std::string letters;
  for (uint64_t bit = 0; bit < known; ++bit)
    if ((taints >> bit & 1) != 0 && (!flags[bit].has("module") || flags[bit]["module"]))
      letters += static_cast<char>(flags[bit]["c_true"].number());
  return letters;
}

std::string taints_of(const Session& session, const Value& object, uint64_t state) {
  const uint64_t bits = object["taints"].number();
  std::string text;
  try {
    text = taint_letters(session, bits);
  } catch (const Error&) {
    text = fmt::format("{:#x}", bits);
  }
  if (state == 1) text += '+';
  if (state == 2) text += '-';
  return text;
}

// The rest of a module whose name and state are known. Returns why something is missing, of the first.
std::string read_rest(const Session& session, uint64_t state, Module& module) {
  const Value& object = module.object;
  std::string fault;
  const auto ask = [&](auto read) {
    try {
      read();
    } catch (const Error& error) {
      if (fault.empty()) fault = error.what();
    }
  };
  // One reference is the module's own (MODULE_REF_BASE), until it goes.
  ask([&] {
    if (object.has("refcnt"))
      module.used = std::max<int64_t>(object["refcnt"]["counter"].signed_number() - 1, 0);
  });
  ask([&] { module.taints = taints_of(session, object, state); });
  ask([&] { read_ranges(module); });
  return fault;
}

// Adds a module, and to `faults` what of it cannot be read.
void add_module(const Session& session, const Value& object, Modules& all, std::vector<std::string>& faults) {
  const std::string place = fmt::format("the module at {:#x}", object.address()->value);
  try {
    const uint64_t state = object["state"].number();
    if (state == kUnformed) return;
    Module module;
    module.object = object;
    module.name = object["name"].text(kMostName);
    module.state = state < kStates.size() ? kStates.at(state) : fmt::format("{}", state);
    if (const std::string fault = read_rest(session, state, module); !fault.empty())
      faults.push_back(fmt::format("not all of module {} can be read: {}", module.name, fault));
    all.modules.push_back(std::move(module));
  } catch (const Error& error) {
    faults.push_back(fmt::format("{} cannot be read: {}", place, error.what()));
  }
}

bool is_symbol_size(const Session& session, uint64_t size) {
  return size == (session.word_size() == 8 ? 24U : 16U);
}

std::vector<std::byte> read_array(const Session& session, VirtAddr at, uint64_t size, const char* what) {
  constexpr uint64_t kMost = uint64_t{64} << 20;
  if (size > kMost) throw NotFound(fmt::format("{} has an absurd size, {}", what, size));
  std::vector<std::byte> bytes(size);
  const Path path{Path::Step::name, what, 0, nullptr};
  session.read(at, bytes, &path);
  return bytes;
}

// The names and addresses that a module exports: struct kernel_symbol, of relative places where
// HAVE_ARCH_PREL32_RELOCATIONS is on (7290d5809571, 4.19). Those of gpl_syms count since they are in one
// table only.
class Exports {
 public:
  Exports(const Session& session, const Value& module) : session_(session) {
    if (!module.has("syms") || !module.has("num_syms")) return;
    const uint64_t count = module["num_syms"].number();
    const Value table = module["syms"];
    constexpr uint64_t kMost = 100'000;
    if (count > kMost) return;
    for (uint64_t i = 0; i < count; ++i) add(table[i]);
    std::sort(all_.begin(), all_.end());
  }
  bool has(const std::string& name, VirtAddr address) const {
    return std::binary_search(all_.begin(), all_.end(), std::pair(address, name));
  }

 private:
  static VirtAddr place(const Value& member) {
    return *member.address() + static_cast<uint64_t>(member.signed_number());
  }
  void add(const Value& symbol) {
    const bool is_relative = symbol.has("value_offset");
    const VirtAddr value = is_relative ? place(symbol["value_offset"]) : symbol["value"].target();
    const VirtAddr name = is_relative ? place(symbol["name_offset"]) : symbol["name"].target();
    const auto character = session_.types().basic("char");
    all_.emplace_back(
        value, session_.number(session_.types().derived().pointer_to(character), name.value).text(kMostName));
  }

  const Session& session_;
  std::vector<std::pair<VirtAddr, std::string>> all_;
};

char letter_of(char letter, bool is_exported) {
  const auto is_lower = letter >= 'a' && letter <= 'z';
  const auto is_upper = letter >= 'A' && letter <= 'Z';
  if (is_exported && is_lower) return static_cast<char>(letter - 'a' + 'A');
  if (!is_exported && is_upper) return static_cast<char>(letter - 'A' + 'a');
  return letter;
}

// Returns how many of the module's symbols are damaged.
size_t add_symbols(const Session& session, const Module& module, symbol::SymbolListBuilder& list) {
  if (module.object["kallsyms"].number() == 0) return 0;
  const Value tables = *module.object["kallsyms"];
  const uint64_t count = tables["num_symtab"].number();
  const uint64_t entry = tables["symtab"].type().resolved().target().size();
  if (!is_symbol_size(session, entry)) throw FormatError("struct elf64_sym has an odd size", entry);
  const auto symtab = read_array(session, tables["symtab"].target(), count * entry, "the symbol table");
  std::vector<std::byte> letters;
  if (tables.has("typetab"))
    letters = read_array(session, tables["typetab"].target(), count, "the table of types");
  const uint64_t names_size =
      decode::names_size_of_module_symbols(symtab, session.byte_order(), session.word_size());
  std::vector<std::byte> names(names_size);
  const auto got = session.space().read(tables["strtab"].target(), names);
  const Path path{Path::Step::name, "their names", 0, nullptr};
  if (got.done == 0) session.fail(tables["strtab"].target(), names.size(), got, &path);
  names.resize(got.done);  // beyond the last name there need not be memory
  const Exports exports(session, module.object);
  return decode::for_each_module_symbol(
      {symtab, names, letters, session.byte_order(), session.word_size()},
      [&](const decode::ModuleSymbol& one) {
        const std::string name(one.name);
        list.add(one.address, letter_of(one.type, exports.has(name, one.address)), name, module.name);
      });
}

}  // namespace

Modules read_modules(const Session& session) {
  Modules all;
  try {
    // A whole table of symbols without this one is a kernel that takes no modules (CONFIG_MODULES is off).
    if (session.has_global("init_task") && !session.has_global("modules")) return all;
    const Value head = session.own_global("modules").cast("struct list_head");
    const Walked walked = list_entries(head, "module", "list");
    std::vector<std::string> faults;
    if (!walked.fault.empty()) faults.push_back(fmt::format("not all modules are known: {}", walked.fault));
    for (const Value& object : walked.items) add_module(session, object, all, faults);
    if (faults.empty()) return all;
    all.fault = faults.front();
    if (faults.size() > 1)
      all.fault +=
          fmt::format("; and {} more {}", faults.size() - 1, faults.size() == 2 ? "fault" : "faults");
  } catch (const Error& error) {
    all.fault = fmt::format("the modules are not known: {}", error.what());
  }
  return all;
}

const Module* module_at(const Session& session, VirtAddr address) {
  for (const Module& module : session.modules().modules)
    for (const VirtRange& range : module.ranges)
      if (range.contains(address)) return &module;
  return nullptr;
}

symbol::SymbolList read_module_symbols(const Session& session, std::string& fault) {
  symbol::SymbolListBuilder list;
  fault = session.modules().fault;
  const auto add_fault = [&](const std::string& text) {
    if (fault.empty()) fault = text;
  };
  for (const Module& module : session.modules().modules) try {
      if (const size_t damaged = add_symbols(session, module, list); damaged > 0)
        add_fault(fmt::format("{} of the symbols of module {} lead to names that are not there", damaged,
                              module.name));
    } catch (const Error& error) {
      add_fault(fmt::format("the symbols of module {} cannot be read: {}", module.name, error.what()));
    }
  return std::move(list).finish();
}

}  // namespace kvista::kernel
