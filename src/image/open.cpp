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
#include "image/avml_image.h"
#include "image/elf_core.h"
#include "image/elf_image.h"
#include "image/flattened.h"
#include "image/kdump_header.h"
#include "image/kdump_image.h"
#include "image/lime_image.h"
#include "image/live.h"
#include "image/raw_image.h"
#include "image/s390_dump_image.h"

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
    Format{"LiME", looks_like_lime, open_lime},
    Format{"AVML", looks_like_avml, open_avml},
    Format{"s390 stand-alone", looks_like_s390_dump, open_s390_dump},
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
      {"makedumpfile", "a flattened stream within a flattened stream: the file is damaged"},
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
  return fmt::format(
      "no memory image that kvista knows (it begins with{}; known: {}, each of them also "
      "flattened); raw memory is given as FILE@ADDRESS, where ADDRESS is that of its first byte",
      bytes, list_formats());
}

// Probes what the file begins with. Throws where that is no format's.
std::unique_ptr<MemoryImage> open_by_content(File file) {
  std::array<std::byte, kHeadSize> buffer{};
  const auto head = std::span(buffer).first(file.read_at(0, buffer));
  for (const Format& format : kFormats)
    if (format.probe(head)) return format.open(std::move(file));
  throw FormatError(fmt::format("{}: {}", file.path(), describe_head(head)), 0);
}

struct SplitPart {
  File file;
  bool flattened = false;
  std::vector<std::string> warnings;
};

SplitPart open_split_part(const std::string& path) {
  SplitPart part{File::open(path), false, {}};
  std::array<std::byte, kHeadSize> buffer{};
  const auto head = [&] { return std::span(buffer).first(part.file.read_at(0, buffer)); };
  if (looks_flattened(head())) {
    Unflattened stream = unflatten(std::move(part.file));
    part = {std::move(stream.file), true, std::move(stream.warnings)};
  }
  if (looks_like_kdump(head())) return part;
  throw FormatError(fmt::format("{}: not a part of a split dump: several images are read together only where "
                                "they are the parts of one (makedumpfile --split), or raw memory "
                                "(FILE@ADDRESS for each)",
                                path),
                    0);
}

}  // namespace

std::span<const Format> formats() {
  return kFormats;
}

std::unique_ptr<MemoryImage> open_image(const std::string& path) {
  // The running kernel is told by what the file is, not by what it holds.
  if (is_proc_kcore(path) || path == "/proc/kcore") return open_kcore(path);
  if (is_memory_device(path)) return open_live_devmem(path);
  // A file whose own name ends in @NUMBER is meant by that name.
  if (const auto raw = parse_raw_piece(path); raw && access(path.c_str(), F_OK) != 0)
    return open_raw_set({*raw});
  File file = File::open(path);
  if (file.is_directory()) throw AccessError(fmt::format("{}: a directory, not a memory image", path));
  std::array<std::byte, kHeadSize> buffer{};
  const auto head = std::span(buffer).first(file.read_at(0, buffer));
  if (head.empty() && file.is_regular() && file.size() == 0)
    throw FormatError(fmt::format("{}: the file is empty: was there room to write the dump?", path), 0);
  if (head.empty()) throw FormatError(fmt::format("{}: nothing can be read from it", path), 0);
  if (!looks_flattened(head)) return open_by_content(std::move(file));
  // What the stream holds is a file like any other.
  Unflattened stream = unflatten(std::move(file));
  try {
    auto image = open_by_content(std::move(stream.file));
    image->add_layer("flattened", std::move(stream.warnings));
    return image;
  } catch (const FormatError& error) {
    if (stream.warnings.empty()) throw;
    throw FormatError(fmt::format("{} ({})", error.what(), stream.warnings.front()), error.offset());
  }
}

std::unique_ptr<MemoryImage> open_image_set(const std::vector<std::string>& paths) {
  if (paths.size() == 1) return open_image(paths.front());
  std::vector<RawPiece> pieces;
  std::string other;
  for (const std::string& path : paths) {
    if (const auto piece = parse_raw_piece(path))
      pieces.push_back(*piece);
    else
      other = path;
  }
  if (other.empty()) return open_raw_set(pieces);
  if (!pieces.empty())
    throw UsageError(fmt::format("raw memory is given as FILE@ADDRESS, and {} without an address", other));
  std::vector<File> files;
  std::vector<std::string> warnings;
  bool flattened = false;
  for (const std::string& path : paths) {
    SplitPart part = open_split_part(path);
    files.push_back(std::move(part.file));
    warnings.insert(warnings.end(), part.warnings.begin(), part.warnings.end());
    flattened = flattened || part.flattened;
  }
  auto image = open_kdump_set(std::move(files));
  if (flattened) image->add_layer("flattened", std::move(warnings));
  return image;
}

std::string default_image_path() {
  constexpr const char* kCrashed = "/proc/vmcore";
  return access(kCrashed, F_OK) == 0 ? kCrashed : "/proc/kcore";
}

}  // namespace kvista::image
