#include "vmcoreinfo/locate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/cursor.h"
#include "base/error.h"
#include "base/file.h"

namespace kvista::vmcoreinfo {
namespace {

constexpr std::string_view kNoteName = "VMCOREINFO";
// The kernel's buffer is one page (VMCOREINFO_BYTES); QEMU copies at most 1 MiB.
constexpr uint64_t kMaxNote = uint64_t{1} << 20;

std::string to_string(std::span<const std::byte> bytes) {
  return std::string(as_text(bytes));
}

std::optional<Located> from_notes(const image::MemoryImage& image) {
  constexpr int kMostTries = 4;
  int tries = 0;
  for (const image::Note& note : image.notes()) {
    if (note.name != kNoteName) continue;
    if (++tries > kMostTries) break;
    Located found{VmcoreInfo(to_string(image.read_note(note, kMaxNote))), "ELF note"};
    if (!found.info.empty()) return found;
  }
  return std::nullopt;
}

// sysfs holds "PHYSICAL_ADDRESS SIZE" (both hexadecimal) of the whole ELF note: kernel/ksysfs.c.
std::optional<PhysRange> parse_sysfs(std::string_view text) {
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto size_text = text.substr(space + 1, text.find('\n') - space - 1);
  const auto start = parse_number(text.substr(0, space), true);
  const auto size = parse_number(size_text, true);
  if (!start || !size) return std::nullopt;
  return PhysRange{PhysAddr{*start}, std::min(*size, kMaxNote)};
}

std::optional<Located> from_sysfs(const image::MemoryImage& image, const std::string& path) {
  const auto text = read_text_file(path);
  const auto place = text ? parse_sysfs(*text) : std::nullopt;
  if (!place) return std::nullopt;
  std::vector<std::byte> bytes(place->size);
  bytes.resize(image.read(place->start, bytes).done);
  Cursor in(bytes, image.traits().byte_order);
  const uint64_t name_size = in.u32();
  const uint64_t size = in.u32();
  in.skip(4);  // type
  if (as_text(in.bytes(name_size)) != kNoteName) return std::nullopt;
  in.align(4);
  const auto descriptor = in.bytes(std::min(size, in.remaining()));
  return Located{VmcoreInfo(to_string(descriptor)), path};
}

}  // namespace

std::optional<Located> locate(const image::MemoryImage& image, const std::string& sysfs) {
  if (auto found = from_notes(image)) return found;
  return image.traits().live ? from_sysfs(image, sysfs) : std::nullopt;
}

Located read_file(const std::string& path) {
  const auto text = read_text_file(path, kMaxNote);
  if (!text) throw AccessError(fmt::format("cannot read VMCOREINFO from {}: {}", path, std::strerror(errno)));
  Located located{VmcoreInfo(*text), "user"};
  if (located.info.empty())
    throw FormatError(fmt::format("{}: no line of VMCOREINFO (KEY=VALUE) in it", path), 0);
  return located;
}

}  // namespace kvista::vmcoreinfo
