#include "kernel/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/endian.h"
#include "base/error.h"
#include "kernel/evaluate.h"
#include "kernel/modules.h"
#include "type/kernel_btf.h"
#include "type/module_btf.h"

namespace kvista::kernel {
namespace {

constexpr unsigned kMostCpus = 1 << 16;

TypeTables read_tables(const Session& session) {
  TypeTables tables;
  if (session.debuginfo() != nullptr) tables.debuginfo = &session.debuginfo()->types();
  try {
    tables.kernel =
        session.with_machine([](machine::Machine& machine) { return type::read_kernel_types(machine); });
  } catch (const Error& error) {
    tables.why_not = error.what();
  }
  tables.read_modules = [&session](const type::BtfTypes& kernel) {
    return session.with_machine(
        [&](machine::Machine& machine) { return type::read_module_types(machine, kernel); });
  };
  return tables;
}

}  // namespace

std::string to_text(const Path* path) {
  constexpr size_t kMostSteps = 64;
  std::vector<const Path*> steps;
  for (; path != nullptr && steps.size() < kMostSteps; path = path->from.get()) steps.push_back(path);
  std::string text = path == nullptr ? "" : "...";
  std::reverse(steps.begin(), steps.end());
  for (const Path* step : steps) {
    switch (step->step) {
      case Path::Step::name:
        text += step->name;
        break;
      case Path::Step::member:
        text += "." + step->name;
        break;
      case Path::Step::arrow:
        text += "->" + step->name;
        break;
      case Path::Step::index:
        text += fmt::format("[{}]", step->index);
        break;
      case Path::Step::dereference:
        text = fmt::format("(*{})", text);
        break;
      case Path::Step::address:
        text.insert(0, "&");
        break;
    }
  }
  return text;
}

const Session& session_of(const Value& value) {
  if (value.session_ == nullptr) throw UsageError("this value is of no kernel");
  return *value.session_;
}

Session::Session(std::unique_ptr<image::MemoryImage> image, machine::Options options,
                 const debuginfo::Options& debuginfo)
    : machine_(std::move(image), std::move(options)), debuginfo_(debuginfo::choose(machine_, debuginfo)) {}

const machine::AddressSpace& Session::space() const {
  return space_.get(
      [this] { return with_machine([](machine::Machine& machine) { return machine.kernel_space(); }); });
}

const symbol::KernelSymbols& Session::symbols() const {
  return *symbols_.get([this] {
    return with_machine(
        [](machine::Machine& machine) { return std::make_unique<symbol::KernelSymbols>(machine); });
  });
}

const Session::ModuleSymbols& Session::find_module_symbols() const {
  return *module_symbols_.get([this] {
    auto found = std::make_unique<ModuleSymbols>();
    found->list = read_module_symbols(*this, found->fault);
    const std::lock_guard lock(warnings_mutex_);
    if (!found->fault.empty()) warnings_.push_back(found->fault);
    return found;
  });
}

const symbol::SymbolList& Session::module_symbols() const {
  return find_module_symbols().list;
}

const std::string& Session::module_symbols_fault() const {
  return find_module_symbols().fault;
}

const TypeNames& Session::types() const {
  return *types_.get([this] {
    TypeTables tables = read_tables(*this);
    const std::lock_guard lock(warnings_mutex_);
    for (const type::TypeTable* table :
         {tables.debuginfo, static_cast<const type::TypeTable*>(tables.kernel.get())})
      if (table != nullptr && !table->damage().empty()) warnings_.push_back(table->damage());
    return std::make_unique<TypeNames>(std::move(tables), word_size());
  });
}

std::vector<std::string> Session::warnings() const {
  std::vector<std::string> all =
      with_machine([](const machine::Machine& machine) { return machine.warnings(); });
  const std::lock_guard lock(warnings_mutex_);
  all.insert(all.end(), warnings_.begin(), warnings_.end());
  return all;
}

// --- symbols ---

std::vector<symbol::Symbol> Session::find_symbols(std::string_view name) const {
  std::vector<symbol::Symbol> found = symbols().find(name);
  for (symbol::Symbol& one : module_symbols().find(name)) found.push_back(std::move(one));
  return found;
}

std::optional<symbol::NearSymbol> Session::nearest_symbol(VirtAddr address) const {
  if (auto found = symbols().nearest(address)) return found;
  const Module* module = module_at(*this, address);
  if (!module) return std::nullopt;
  auto found = module_symbols().nearest(address);
  if (!found || found->symbol.module != module->name) return std::nullopt;
  return found;
}

std::string Session::symbol_text(VirtAddr address) const {
  try {
    const auto near = nearest_symbol(address);
    if (!near) return {};
    std::string text = near->symbol.name;
    if (near->offset != 0) text += fmt::format("+{:#x}", near->offset);
    if (!near->symbol.module.empty()) text += fmt::format(" [{}]", near->symbol.module);
    return text;
  } catch (const Error&) {
    return {};  // an address without a name is still an address
  }
}

std::optional<debuginfo::SourceLine> Session::line_of(VirtAddr address) const {
  return debuginfo_ ? debuginfo_->line_of(address) : std::nullopt;
}

// --- memory ---

void Session::fail(VirtAddr address, size_t size, const machine::VirtRead& read, const Path* what) const {
  const VirtAddr bad = address + read.done;
  const std::string why =
      read.end == machine::WalkEnd::mapped ? image().describe_state(read.state) : machine::describe(read.end);
  const std::string name = to_text(what);
  const std::string subject = name.empty() ? fmt::format("{} byte{}", size, size == 1 ? "" : "s") : name;
  const std::string place = bad == address ? "" : fmt::format(": {:#x}", bad.value);
  const bool is_sentence = read.end == machine::WalkEnd::table_missing;  // "a page table is not in the image"
  const char* const verb = is_sentence ? ":" : place.empty() ? ": it is" : " is";
  throw FaultError(fmt::format("{} at {:#x} cannot be read{}{} {}", subject, address.value, place, verb, why),
                   bad, read.end, read.state);
}

void Session::read(VirtAddr address, std::span<std::byte> out, const Path* what) const {
  const auto read_piece = [this](VirtAddr start, std::span<std::byte> piece) {
    return space().read(start, piece).done == piece.size();
  };
  if (!image().traits().live && ReadCache::is_within_piece(address, out.size()) &&
      cache_.read(address, out, read_piece))
    return;
  const machine::VirtRead got = space().read(address, out);
  if (got.done != out.size()) fail(address, out.size(), got, what);
}

uint64_t Session::read_number(VirtAddr address, size_t size, const Path* what) const {
  std::array<std::byte, sizeof(uint64_t)> bytes{};
  const auto wanted = std::span(bytes).first(size);
  read(address, wanted, what);
  return load_sized(wanted, byte_order());
}

// --- variables ---

Value Session::object(type::Type type, VirtAddr at, std::string name) const {
  Value value;
  value.session_ = this;
  value.type_ = type;
  value.address_ = at;
  value.place_ = Value::Place::memory;
  if (name.empty())
    name = fmt::format("(*({}){:#x})", types().derived().pointer_to(type).declaration(), at.value);
  value.path_ = std::make_shared<const Path>(Path{Path::Step::name, std::move(name), 0, nullptr});
  return value;
}

Value Session::number(type::Type type, uint64_t number, std::string name) const {
  Value value;
  value.session_ = this;
  value.type_ = type;
  value.number_ = number;
  if (!name.empty())
    value.path_ = std::make_shared<const Path>(Path{Path::Step::name, std::move(name), 0, nullptr});
  return value;
}

namespace {

bool holds(const Session& session, const Requirement& one) {
  if (one.is_symbol) return session.has_global(one.name) != one.is_absent;
  bool found = false;
  for (const type::Kind kind : {type::Kind::structure, type::Kind::union_type})
    if (const auto type = session.types().kernel_type(one.name, kind))
      found = found || one.member.empty() || type->find_member(one.member);
  return found != one.is_absent;
}

bool holds(const Session& session, const GlobalDeclaration& declaration) {
  return std::all_of(declaration.requirements.begin(), declaration.requirements.end(),
                     [&](const Requirement& one) { return holds(session, one); });
}

// An array of which one length is not declared, in all of `size` bytes.
type::Type filled_up(type::DerivedTypes& derived, type::Type type, uint64_t size) {
  if (type.kind() != type::Kind::array) return type;
  const uint64_t count = type.info().count;
  if (count != 0) return derived.array_of(filled_up(derived, type.target(), size / count), count);
  return type.target().size() == 0 ? type : derived.array_of(type.target(), size / type.target().size());
}

// An array whose length is not declared goes on up to the next symbol.
type::Type with_length(const Session& session, type::Type type, VirtAddr at) {
  if (type.kind() != type::Kind::array || type.size() != 0) return type;
  const auto near = session.symbols().nearest(at);
  if (!near || !near->size || near->offset != 0) return type;
  return filled_up(session.types().derived(), type, *near->size);
}

bool is_text(const symbol::Symbol& symbol) {
  return std::string_view("tTwW").find(symbol.type) != std::string_view::npos;
}

}  // namespace

// Of per-CPU variables, the symbol is where they were linked: at small numbers, which KASLR does not move,
// until 9d7de2aa8b41 (6.15).
std::optional<type::Type> Session::type_in_debuginfo(const symbol::Symbol& symbol, bool& is_per_cpu) const {
  const auto first = symbols().find("__per_cpu_start");
  const auto end = symbols().find("__per_cpu_end");
  const bool is_within = !first.empty() && !end.empty() && symbol.address >= first.front().address &&
                         symbol.address < end.front().address;
  const bool moved = !is_within || first.front().address.value != 0;
  const auto found = debuginfo_->variable(symbol.name, symbol.address, moved);
  is_per_cpu = found && is_within;
  return found ? found : debuginfo_->function(symbol.name, symbol.address);
}

type::Type Session::type_of_global(const symbol::Symbol& symbol, bool& is_per_cpu) const {
  if (debuginfo_)
    if (const auto found = type_in_debuginfo(symbol, is_per_cpu)) return *found;
  const type::BtfTypes* btf = types().btf();
  if (btf != nullptr) {
    if (const auto found = btf->variable(symbol.name)) {
      is_per_cpu = true;  // BTF has no others: tools/lib/bpf, pahole --btf_encode_force
      return *found;
    }
  }
  for (const GlobalDeclaration& one : declarations_of(symbol.name)) try {
      if (!holds(*this, one)) continue;
      is_per_cpu = one.is_per_cpu;
      return with_length(*this, types().resolve(one.declaration.type, TypeNames::Of::kernel), symbol.address);
    } catch (const NotFound&) {
      // Another kernel's form: the next is tried.
    }
  // Last, because some kernels have T for variables that are exported (7.2).
  if (btf != nullptr)
    if (const auto found = btf->function(symbol.name)) {
      const auto& members = found->members();
      const bool is_empty = members.empty() && found->target().kind() == type::Kind::nothing;
      if (!is_empty || is_text(symbol)) return *found;
    }
  return {};
}

Value Session::of_symbol(const symbol::Symbol& symbol) const {
  bool is_per_cpu = false;
  const type::Type type = symbol.module.empty() ? type_of_global(symbol, is_per_cpu) : type::Type();
  Value value = object(type, symbol.address, symbol.name);
  if (is_per_cpu) value.place_ = Value::Place::per_cpu;
  return value;
}

bool Session::has_global(std::string_view name) const {
  return !symbols().find(name).empty();
}

Value Session::of_symbols(std::string_view name, const std::vector<symbol::Symbol>& found) const {
  std::set<VirtAddr> addresses;
  for (const symbol::Symbol& one : found) addresses.insert(one.address);
  if (addresses.size() > 1) {
    std::string all;
    for (const symbol::Symbol& one : found)
      all += fmt::format("{}{:#x}{}", all.empty() ? "" : ", ", one.address.value,
                         one.module.empty() ? "" : fmt::format(" [{}]", one.module));
    throw UsageError(fmt::format("{} is ambiguous: there are {}", name, all));
  }
  return of_symbol(found.front());
}

std::optional<Value> Session::find_own(std::string_view name) const {
  const std::vector<symbol::Symbol> found = symbols().find(name);
  if (!found.empty()) return of_symbols(name, found);
  if (const auto value = types().enumerator(name))
    return number(types().basic("long"), *value, std::string(name));
  return std::nullopt;
}

void Session::fail_unknown(std::string_view name) const {
  const std::string why = symbols().why_incomplete();
  throw NotFound(fmt::format("there is no symbol or enumerator {}{}{}", name, why.empty() ? "" : ": ", why));
}

void Session::fail_untyped(const std::string& name, std::string_view example) const {
  if (types().own().empty())
    throw NotFound(fmt::format("the type of {} is not known: {}", name, types().why_none()));
  for (const auto& table : types().own())
    if (const std::string damage = table->damage(); !damage.empty())
      throw NotFound(
          fmt::format("the type of {} is not known, and the kernel's types are damaged: {}", name, damage));
  throw UsageError(fmt::format("the type of {} is not known: say it, as in {}", name,
                               fmt::format(fmt::runtime(example), name)));
}

Value Session::own_global(std::string_view name) const {
  const auto own = find_own(name);
  if (!own) fail_unknown(name);
  return *own;
}

Value Session::global(std::string_view name) const {
  if (const auto own = find_own(name)) return *own;
  const std::vector<symbol::Symbol> found = module_symbols().find(name);
  if (found.empty()) fail_unknown(name);
  return of_symbols(name, found);
}

Value Session::evaluate(std::string_view expression) const {
  return kernel::evaluate(*this, expression);
}

// --- CPUs ---

uint64_t Session::per_cpu_offset(unsigned cpu) const {
  const auto& cpus = possible_cpus();
  if (!std::binary_search(cpus.begin(), cpus.end(), cpu))
    throw NotFound(fmt::format("there is no CPU {}: possible are {} to {}", cpu, cpus.front(), cpus.back()));
  const auto& table = per_cpu_offsets_.get([this]() -> std::optional<VirtAddr> {
    const auto found = symbols().find("__per_cpu_offset");
    return found.empty() ? std::nullopt : std::optional(found.front().address);
  });
  if (!table) return 0;  // a kernel for one CPU (CONFIG_SMP is off)
  const VirtAddr at = *table + uint64_t{cpu} * word_size();
  const Path path{Path::Step::name, fmt::format("__per_cpu_offset[{}]", cpu), 0, nullptr};
  return read_number(at, word_size(), &path);
}

namespace {

unsigned most_cpus(const Session& session) {
  const Path path{Path::Step::name, "nr_cpu_ids", 0, nullptr};
  if (const auto count = session.symbols().find("nr_cpu_ids"); !count.empty())
    return static_cast<unsigned>(session.read_number(count.front().address, 4, &path));
  const auto type = session.types().kernel_type("cpumask", type::Kind::structure);
  return type ? static_cast<unsigned>(type->size() * 8) : kMostCpus;
}

// The bits of a mask of CPUs; CPU 0 alone where that cannot be read.
std::vector<unsigned> cpus_of(const Session& session, const char* name) {
  std::vector<unsigned> cpus;
  try {
    const auto mask = session.symbols().find(name);
    if (mask.empty()) return {0};  // a kernel for one CPU (CONFIG_SMP is off)
    const Path path{Path::Step::name, name, 0, nullptr};
    const unsigned bits = session.word_size() * 8;
    const unsigned limit = std::min(most_cpus(session), kMostCpus);
    for (unsigned first = 0; first < limit; first += bits) {
      const uint64_t word = session.read_number(mask.front().address + first / 8, session.word_size(), &path);
      for (unsigned bit = 0; bit < bits && first + bit < limit; ++bit)
        if ((word >> bit & 1) != 0) cpus.push_back(first + bit);
    }
  } catch (const Error&) {
    cpus.clear();
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

}  // namespace

const std::vector<unsigned>& Session::possible_cpus() const {
  return possible_cpus_.get([this] { return cpus_of(*this, "__cpu_possible_mask"); });
}

const std::vector<unsigned>& Session::present_cpus() const {
  return present_cpus_.get([this] { return cpus_of(*this, "__cpu_present_mask"); });
}

const Modules& Session::modules() const {
  return modules_.get([this] { return read_modules(*this); });
}

}  // namespace kvista::kernel
