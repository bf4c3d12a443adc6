// One kernel in an image, with all that is known of it: what Kernel shows is kept here.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/lazy.h"
#include "debuginfo/debuginfo.h"
#include "kernel/globals.h"
#include "kernel/modules.h"
#include "kernel/read_cache.h"
#include "kernel/type_names.h"
#include "kvista/kernel.h"
#include "kvista/value.h"
#include "machine/machine.h"
#include "symbol/kernel_symbols.h"
#include "symbol/symbol_list.h"
#include "syntax/expression.h"

namespace kvista::kernel {

/// How a value was come by: a name or an expression, and what was done to it. Shared by all that go on from
/// it.
struct Path {
  enum class Step : uint8_t { name, member, arrow, index, dereference, address };
  Step step = Step::name;
  std::string name;
  int64_t index = 0;
  std::shared_ptr<const Path> from;
};
std::string to_text(const Path* path);

/// Safe to use from several threads; everything is found when first asked for.
class Session {
 public:
  /// Opens debuginfo, where it is asked for; throws what debuginfo::choose does.
  Session(std::unique_ptr<image::MemoryImage> image, machine::Options options,
          const debuginfo::Options& debuginfo = {});

  const image::MemoryImage& image() const { return machine_.image(); }
  const vmcoreinfo::VmcoreInfo& note() const { return machine_.note(); }
  ByteOrder byte_order() const { return machine_.byte_order(); }
  uint16_t elf_machine() const { return machine_.architecture().elf_machine; }
  /// Where the kernel's addresses begin.
  VirtAddr first_address() const { return machine_.architecture().first_address; }
  /// Whether a word can be a pointer to something of the kernel's.
  bool may_be_pointer(uint64_t word) const { return word != 0 && word >= first_address().value; }
  unsigned word_size() const { return image().traits().word_size; }

  /// Calls `ask` with the machine, which is its own meanwhile.
  template <typename Ask>
  decltype(auto) with_machine(Ask ask) const {
    const std::lock_guard lock(mutex_);
    return ask(machine_);
  }
  const machine::AddressSpace& space() const;
  const symbol::KernelSymbols& symbols() const;
  /// All of the modules' symbols, as their struct module says.
  const symbol::SymbolList& module_symbols() const;
  /// Why that is not all of them; empty where it is.
  const std::string& module_symbols_fault() const;
  const TypeNames& types() const;
  /// The debug information that is used, or null.
  const debuginfo::Debuginfo* debuginfo() const { return debuginfo_.get(); }
  /// The source line of an address in the kernel's code, where debuginfo is used and has it.
  std::optional<debuginfo::SourceLine> line_of(VirtAddr address) const;

  /// All symbols of that name, the kernel's first.
  std::vector<symbol::Symbol> find_symbols(std::string_view name) const;
  std::optional<symbol::NearSymbol> nearest_symbol(VirtAddr address) const;
  /// "schedule+0x10", or nothing where no symbol is near.
  std::string symbol_text(VirtAddr address) const;

  /// Reads all of `out`, or throws FaultError: `what` is what was to be read.
  void read(VirtAddr address, std::span<std::byte> out, const Path* what) const;
  uint64_t read_number(VirtAddr address, size_t size, const Path* what) const;
  [[noreturn]] void fail(VirtAddr address, size_t size, const machine::VirtRead& read,
                         const Path* what) const;

  /// A variable, function or enumerator. Throws NotFound where there is none of that name.
  Value global(std::string_view name) const;
  /// The same of the kernel itself. Modules are not looked through: it is by the kernel's variables that they
  /// are found.
  Value own_global(std::string_view name) const;
  /// Whether there is a symbol of that name.
  bool has_global(std::string_view name) const;
  /// Throws: the type of this is not known, because the kernel has no types, or because none is declared.
  /// `example` shows what to write instead, with {} for the name.
  [[noreturn]] void fail_untyped(const std::string& name, std::string_view example) const;
  Value object(type::Type type, VirtAddr at, std::string name = {}) const;
  Value number(type::Type type, uint64_t number, std::string name = {}) const;
  Value evaluate(std::string_view expression) const;

  /// How far the variables of a CPU are from their symbols. Throws NotFound where there is no such CPU.
  uint64_t per_cpu_offset(unsigned cpu) const;
  /// The CPUs that there can be, and those that there are, by their numbers.
  const std::vector<unsigned>& possible_cpus() const;
  const std::vector<unsigned>& present_cpus() const;

  const Modules& modules() const;

  /// One sentence for each thing that is missing or odd, as far as it was come across.
  std::vector<std::string> warnings() const;

 private:
  std::optional<Value> find_own(std::string_view name) const;
  Value of_symbols(std::string_view name, const std::vector<symbol::Symbol>& found) const;
  Value of_symbol(const symbol::Symbol& symbol) const;
  [[noreturn]] void fail_unknown(std::string_view name) const;
  type::Type type_of_global(const symbol::Symbol& symbol, bool& is_per_cpu) const;
  std::optional<type::Type> type_in_debuginfo(const symbol::Symbol& symbol, bool& is_per_cpu) const;

  mutable std::mutex mutex_;
  mutable machine::Machine machine_;
  std::unique_ptr<debuginfo::Debuginfo> debuginfo_;
  Lazy<machine::AddressSpace> space_;
  Lazy<std::unique_ptr<symbol::KernelSymbols>> symbols_;
  struct ModuleSymbols {
    symbol::SymbolList list;
    std::string fault;
  };
  const ModuleSymbols& find_module_symbols() const;
  Lazy<std::unique_ptr<ModuleSymbols>> module_symbols_;
  Lazy<std::unique_ptr<TypeNames>> types_;
  Lazy<std::vector<unsigned>> possible_cpus_;
  Lazy<std::vector<unsigned>> present_cpus_;
  Lazy<Modules> modules_;
  Lazy<std::optional<VirtAddr>> per_cpu_offsets_;  // where __per_cpu_offset is
  mutable ReadCache cache_;
  mutable std::mutex warnings_mutex_;
  mutable std::vector<std::string> warnings_;
};

}  // namespace kvista::kernel
