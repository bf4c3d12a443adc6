// A file of debug information, read by libdw.
#include <mutex>

#include "debuginfo/debug_file.h"
#include "debuginfo/dwarf_handle.h"
#include "debuginfo/dwarf_lines.h"
#include "debuginfo/dwarf_types.h"

namespace kvista::debuginfo {
namespace {

class DwarfFile final : public DebugFile {
 public:
  explicit DwarfFile(const std::string& path) : handle_(path), types_(path, handle_, mutex_) {}

  const type::TypeTable& types() const override { return types_; }
  std::optional<type::Type> variable(std::string_view name, VirtAddr address) const override {
    return types_.variable(name, address);
  }
  std::optional<type::Type> function(std::string_view name, VirtAddr address) const override {
    return types_.function(name, address);
  }
  std::optional<SourceLine> line_of(VirtAddr address) const override {
    const std::lock_guard lock(mutex_);
    return line_at(handle_, address);
  }
  std::vector<SourceFunction> functions_at(VirtAddr address) const override {
    const std::lock_guard lock(mutex_);
    return debuginfo::functions_at(handle_, address);
  }

 private:
  mutable std::mutex mutex_;  // libdw's handles are for one thread at a time
  DwarfHandle handle_;
  DwarfTypes types_;
};

}  // namespace

const bool kHasDwarf = true;

std::unique_ptr<DebugFile> open_debug_file(const std::string& path) {
  return std::make_unique<DwarfFile>(path);
}

}  // namespace kvista::debuginfo
