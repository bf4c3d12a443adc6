// A Linux kernel in an image: the way into the library.
//
//   kvista::Kernel kernel({"vmcore"});
//   std::cout << kernel.text(kvista::machine::FactId::release).value_or("of unknown release") << '\n';
//   std::cout << kernel["init_task"]["comm"].text() << '\n';
//
// Nothing but what is asked for is read. A Kernel does not change after it was opened, and all its functions
// may be called from several threads at once: reads run side by side, while facts, counts and the log take
// turns. Several kernels can be open in one program.
//
// All functions throw the errors of kvista/error.h, whose what() is one sentence: what was tried, what was
// found, what to do about it. A file that is mapped and then shrinks, or whose disk fails, raises SIGBUS.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kvista/address.h"
#include "kvista/census.h"
#include "kvista/error.h"
#include "kvista/export.h"
#include "kvista/fact.h"
#include "kvista/image.h"
#include "kvista/kernel_log.h"
#include "kvista/source_line.h"
#include "kvista/symbol.h"
#include "kvista/translation.h"
#include "kvista/type.h"
#include "kvista/value.h"
#include "kvista/vmcoreinfo.h"
#include "kvista/walk.h"

namespace kvista {

/// Memory that was asked for and is not there: not mapped, or not in the image.
class KVISTA_API FaultError : public Error {
 public:
  FaultError(const std::string& what, VirtAddr address, machine::WalkEnd end, image::PageState state)
      : Error(what), address_(address), end_(end), state_(state) {}
  /// The first byte that could not be read.
  VirtAddr address() const { return address_; }
  /// Whether it is mapped, or how the walk through the page tables ended ...
  machine::WalkEnd end() const { return end_; }
  /// ... and for what is mapped, the state of its page in the image.
  image::PageState state() const { return state_; }

 private:
  VirtAddr address_;
  machine::WalkEnd end_;
  image::PageState state_;
};

/// What the user knows better than the image.
struct KernelOptions {
  std::map<machine::FactId, machine::FactValue> facts = {};  ///< used whatever the image says
  std::string vmcoreinfo_file = {};  ///< used instead of the image's note, if not empty
  /// A vmlinux, System.map or copy of /proc/kallsyms, by which the kernel's variables are found, too.
  std::string symbols_file = {};
  std::string config_file = {};  ///< the configuration that the kernel was built with, as in /boot
  /// A vmlinux, or its file of debug information (DWARF): the first that is proven to be this kernel's gives
  /// types, and symbols where symbols_file is empty. Without any, nothing of the kind is read.
  std::vector<std::string> debuginfo_files = {};
  bool find_debuginfo = false;   ///< else look for one where distributions put them
  bool ask_debuginfod = false;   ///< and then ask the servers that DEBUGINFOD_URLS names
  bool ask_all_sources = false;  ///< of each fact, also after its value is known: fact() then shows all
};

class KVISTA_API Kernel {
 public:
  /// Opens an image: one path, the parts of a split dump, or raw memory (FILE@ADDRESS, one or several);
  /// without a path /proc/vmcore if there is one, else the running kernel. Throws AccessError, FormatError or
  /// Unsupported.
  explicit Kernel(const std::vector<std::string>& paths = {}, const KernelOptions& options = {});
  Kernel(Kernel&& other) noexcept;
  Kernel& operator=(Kernel&& other) noexcept;
  ~Kernel();

  /// What the image says of itself.
  const image::Traits& image() const;
  /// The physical memory that it covers, sorted and disjoint.
  std::span<const PhysRange> ram() const;
  /// VMCOREINFO; empty where there is none.
  const vmcoreinfo::VmcoreInfo& note() const;
  /// One sentence for each thing that is odd about the image, its note, and the facts asked for so far.
  std::vector<std::string> warnings() const;

  /// A fact with its evidence: its value, whom that comes from, and what the other sources said. It stays
  /// valid as long as the Kernel. A fact that cannot be established has no value, and the candidates say why.
  const machine::Fact& fact(machine::FactId id) const;
  /// The value of a fact that is a number, or a text; nothing where it cannot be established.
  std::optional<uint64_t> number(machine::FactId id) const;
  std::optional<std::string> text(machine::FactId id) const;

  /// Reads physical memory as far as it is there; the result says why it stopped.
  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const;
  /// Reads the kernel's virtual memory as far as it is mapped and in the image. Throws NotFound where the
  /// root of the page tables cannot be established; so do all that take a VirtAddr.
  machine::VirtRead read(VirtAddr address, std::span<std::byte> out) const;
  /// A number in the kernel's own byte order. Throws FaultError where not all of it can be read.
  template <std::unsigned_integral T>
  T read(VirtAddr address) const {
    return static_cast<T>(read_number(address, sizeof(T)));
  }
  /// Where a kernel address is in physical memory.
  machine::Translation translate(VirtAddr address) const;

  /// Counts the page frames by their use. Throws an Error where they cannot be told apart at all.
  pages::Census census(const pages::CensusOptions& options = {}) const;
  /// All symbols of that name, the kernel's first, then those of modules. Throws NotFound where there is no
  /// usable table of symbols at all; so do all that follow.
  std::vector<symbol::Symbol> symbols(std::string_view name) const;
  /// The symbol that an address belongs to, or nothing.
  std::optional<symbol::NearSymbol> symbol_at(VirtAddr address) const;
  /// The source line that the code at an address was made from; nothing without debuginfo, and for data.
  std::optional<debuginfo::SourceLine> source_line(VirtAddr address) const;
  /// A type as C writes it: "struct task_struct", "u64", "struct list_head *". Types come from the kernel's
  /// own BTF, and first from debuginfo where that is used. Throws NotFound where it has none of that name.
  type::Type type(std::string_view text) const;
  /// A variable, function or enumerator. Throws NotFound.
  Value operator[](std::string_view name) const;
  /// What a type's object at an address is; "task_struct" and "struct task_struct" are the same.
  Value object(std::string_view type, VirtAddr address) const;
  /// An expression as C writes it: "init_task.tasks.next", "*(struct list_head *)0xffff888003a80970",
  /// "runqueues:0.curr->comm". Throws UsageError where it makes no sense.
  Value evaluate(std::string_view expression) const;
  /// All tasks (struct task_struct): processes, their threads, and the kernel's own.
  Walked tasks() const;

  /// The kernel's log. Throws NotFound or FormatError where there is none to be read.
  machine::KernelLog log() const;

 private:
  uint64_t read_number(VirtAddr address, size_t size) const;
  std::unique_ptr<kernel::Session> session_;
};

}  // namespace kvista
