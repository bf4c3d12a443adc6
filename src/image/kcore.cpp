#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "image/elf_image.h"
#include "image/live.h"

namespace kvista::image {
namespace {

// Why open(2) of /proc/kcore failed: fs/proc/kcore.c open_kcore().
std::string explain_open_failure(const std::string& path, int error) {
  if (error == ENOENT)
    return fmt::format(
        "cannot read {}: there is no such file (a kernel without CONFIG_PROC_KCORE, or a container's "
        "/proc)",
        path);
  if (error == EACCES) return fmt::format("cannot read {}: only root may", path);
  if (error == EPERM) {
    const auto lockdown = read_text_file("/sys/kernel/security/lockdown");
    if (lockdown && lockdown->find("[confidentiality]") != std::string::npos)
      return fmt::format("cannot read {}: lockdown is in confidentiality mode", path);
    return fmt::format(
        "cannot read {}: the process lacks CAP_SYS_RAWIO, or lockdown is in confidentiality mode", path);
  }
  return fmt::format("cannot read {}: {}", path, std::strerror(error));
}

void check_readable(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int error = errno;
  if (fd < 0) throw AccessError(explain_open_failure(path, error));
  ::close(fd);
}

// One descriptor per concurrent reader: the kernel's bounce buffer hangs off the open file and is used under
// a shared lock, so that two reads through one descriptor can mix (fs/proc/kcore.c read_kcore_iter()).
class FilePool {
 public:
  explicit FilePool(std::string path) : path_(std::move(path)) {}

  size_t read_at(uint64_t offset, std::span<std::byte> out) {
    File file = take();
    const size_t got = file.read_at(offset, out);
    const std::lock_guard lock(lock_);
    idle_.push_back(std::move(file));
    return got;
  }

 private:
  File take() {
    {
      const std::lock_guard lock(lock_);
      if (!idle_.empty()) {
        File file = std::move(idle_.back());
        idle_.pop_back();
        return file;
      }
    }
    return File::open(path_);
  }

  std::string path_;
  std::mutex lock_;
  std::vector<File> idle_;
};

class KcoreImage final : public MemoryImage {
 public:
  explicit KcoreImage(const std::string& path) : pool_(path) {
    const File file = File::open(path);
    // The size that stat gives is that of the address space, or nothing: no bound for offsets.
    const ElfCore core = read_elf_core(file, UINT64_MAX);
    traits_ = {path, "/proc/kcore", core.byte_order, core.word_size, core.machine, true};
    ElfMemory memory = map_segments(core, UINT64_MAX);
    extents_ = std::move(memory.extents);
    ram_ = extents_.ranges();
    segments_ = std::move(memory.segments);
    notes_ = core.notes;
    warnings_ = std::move(memory.warnings);
    if (ram_.empty() || lacks_physical_addresses(core))
      throw FormatError(fmt::format("{}: no segment has a physical address (kernels before 4.11)", path), 0);
  }

  ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    return read_extents(extents_, address, out, [this](uint64_t offset, std::span<std::byte> part) {
      return read_outcome(part, pool_.read_at(offset, part));
    });
  }

  std::vector<std::byte> read_note(const Note& note, uint64_t limit) const override {
    std::vector<std::byte> bytes(std::min(note.size, limit));
    bytes.resize(pool_.read_at(note.offset, bytes));
    return bytes;
  }

 private:
  mutable FilePool pool_;
  ExtentMap extents_;
};

}  // namespace

std::unique_ptr<MemoryImage> open_kcore(const std::string& path) {
  check_readable(path);
  return std::make_unique<KcoreImage>(path);
}

}  // namespace kvista::image
