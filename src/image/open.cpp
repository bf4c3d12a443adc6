#include "image/open.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "base/error.h"
#include "image/elf_core.h"
#include "image/elf_image.h"
#include "image/kdump_header.h"
#include "image/kdump_image.h"
#include "image/live.h"

namespace kvista::image {
namespace {

constexpr size_t kHeadSize = 4096;

// kcore's inode is the only regular file of that name at the top of a procfs.
bool is_proc_kcore(const std::string& path) {
  struct statfs fs {};
  return path.ends_with("/kcore") && statfs(path.c_str(), &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

bool is_memory_device(const std::string& path) {
  struct stat st {};
  return stat(path.c_str(), &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 1);
}

std::unique_ptr<MemoryImage> open_live_devmem(const std::string& path) {
  return open_devmem(path, read_text_file("/proc/iomem").value_or(""));
}

constexpr std::array kFormats = {
    Format{"ELF core", looks_like_elf, open_elf},
    Format{"kdump-compressed", looks_like_kdump, open_kdump},
};

std::string list_formats() {
  std::string names;
  for (const Format& format : kFormats) names += fmt::format("{}{}", names.empty() ? "" : ", ", format.name);
  return names;
}

// What a file that no format knows begins with, for the message.
std::string describe_head(std::span<const std::byte> head) {
  struct Known {
    std::string_view magic;
    const char* what;
  };
  static constexpr Known kKnown[] = {
      {"makedumpfile", "a flattened dump, which this version does not read yet"},
      {"EMiL", "a LiME dump, which this version does not read yet"},
      {"AVML", "an AVML dump, which this version does not read yet"},
      {"\x1f\x8b", "gzip-compressed data: decompress it first"},
      {"\xfd"
       "7zXZ",
       "xz-compressed data: decompress it first"},
      {"\x28\xb5\x2f\xfd", "zstd-compressed data: decompress it first"},
      {"QEVM", "a QEMU migration stream, which kvista does not read: take a dump with dump-guest-memory"},
  };
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  for (const Known& known : kKnown)
    if (text.starts_with(known.magic)) return known.what;
  std::string bytes;
  for (const std::byte b : head.first(std::min<size_t>(head.size(), 8)))
    bytes += fmt::format(" {:02x}", std::to_integer<unsigned>(b));
  return fmt::format("no memory image that kvista knows (it begins with{}; known: {})", bytes,
                     list_formats());
}

}  // namespace

std::span<const Format> formats() {
  return kFormats;
}

std::unique_ptr<MemoryImage> open_image(const std::string& path) {
  // The running kernel is told by what the file is, not by what it holds.
  if (is_proc_kcore(path) || path == "/proc/kcore") return open_kcore(path);
  if (is_memory_device(path)) return open_live_devmem(path);
  File file = File::open(path);
  if (file.is_directory()) throw AccessError(fmt::format("{}: a directory, not a memory image", path));
  std::array<std::byte, kHeadSize> buffer{};
  const auto head = std::span(buffer).first(file.read_at(0, buffer));
  if (head.empty() && file.is_regular() && file.size() == 0)
    throw FormatError(fmt::format("{}: the file is empty: was there room to write the dump?", path), 0);
  if (head.empty()) throw FormatError(fmt::format("{}: nothing can be read from it", path), 0);
  for (const Format& format : kFormats)
    if (format.probe(head)) return format.open(std::move(file));
  throw FormatError(fmt::format("{}: {}", path, describe_head(head)), 0);
}

std::unique_ptr<MemoryImage> open_image_set(const std::vector<std::string>& paths) {
  if (paths.size() == 1) return open_image(paths.front());
  std::vector<File> files;
  for (const std::string& path : paths) {
    File file = File::open(path);
    std::array<std::byte, kHeadSize> buffer{};
    if (!looks_like_kdump(std::span(buffer).first(file.read_at(0, buffer))))
      throw FormatError(
          fmt::format(
              "{}: not a part of a split dump: several images are read together only where they are the "
              "parts of one (makedumpfile --split)",
              path),
          0);
    files.push_back(std::move(file));
  }
  return open_kdump_set(std::move(files));
}

std::string default_image_path() {
  constexpr const char* kCrashed = "/proc/vmcore";
  return access(kCrashed, F_OK) == 0 ? kCrashed : "/proc/kcore";
}

}  // namespace kvista::image
