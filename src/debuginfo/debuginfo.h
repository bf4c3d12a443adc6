// The debug information (DWARF) of the kernel in an image: which file it is, and what it says of that kernel.
// Off unless the user asks for it; nothing depends on it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "debuginfo/debug_file.h"
#include "machine/machine.h"

namespace kvista::debuginfo {

/// What the user asks for.
struct Options {
  std::vector<std::string> files = {};  ///< --debuginfo: the first that is this kernel's is used
  bool find = false;                    ///< --find-debuginfo: look in the usual places
  bool ask_servers = false;             ///< --debuginfod: then ask the servers of DEBUGINFOD_URLS
};

/// A file that is proven to be the kernel's. Addresses are those in the image. Safe to use from several
/// threads.
class Debuginfo {
 public:
  Debuginfo(std::string path, std::unique_ptr<DebugFile> file, uint64_t shift)
      : path_(std::move(path)), file_(std::move(file)), shift_(shift) {}

  const std::string& path() const { return path_; }
  const type::TypeTable& types() const { return file_->types(); }
  /// The type of the variable of that name at an address; `moved` where KASLR moves it.
  std::optional<type::Type> variable(std::string_view name, VirtAddr address, bool moved) const {
    return file_->variable(name, moved ? in_file(address) : address);
  }
  std::optional<type::Type> function(std::string_view name, VirtAddr address) const {
    return file_->function(name, in_file(address));
  }
  std::optional<SourceLine> line_of(VirtAddr address) const { return file_->line_of(in_file(address)); }
  std::vector<SourceFunction> functions_at(VirtAddr address) const {
    return file_->functions_at(in_file(address));
  }

 private:
  VirtAddr in_file(VirtAddr address) const { return VirtAddr{address.value - shift_}; }

  std::string path_;
  std::unique_ptr<DebugFile> file_;
  uint64_t shift_;  // how far KASLR moved the kernel from the addresses in the file
};

/// The debug information that the user asks for, or null. A file is used where it is proven to be this
/// kernel's, as a file of symbols is (prove_symbol_file); its symbols serve as such, unless the user gives
/// others. What is not used, or not found, becomes a warning of `machine`. Throws the errors of
/// open_debug_file() and read_symbol_file() for a file that the user names.
std::unique_ptr<Debuginfo> choose(machine::Machine& machine, const Options& options);

}  // namespace kvista::debuginfo
