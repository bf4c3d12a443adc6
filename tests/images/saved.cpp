#include "images/saved.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "images/avml_builder.h"
#include "images/file_formats.h"

namespace kvista::test {
namespace {

// What `write` writes, as it is or as a flattened stream.
template <typename Write>
void write_file(const std::string& path, bool flattened, Write write) {
  const std::string plain = flattened ? path + ".plain" : path;
  {
    FileSink sink(plain);
    write(sink);
  }
  if (!flattened) return;
  FileSink sink(path);
  flatten(plain, sink);
  std::filesystem::remove(plain);
}

void write_parts(const Saved& saved, const Description& how, const std::string& path) {
  KdumpDescription kdump = kdump_of(saved, how.kdump);
  const std::vector<uint64_t> frames(kdump.memory.begin(), kdump.memory.end());
  const uint64_t parts = how.kdump.parts;
  const auto first = [&](uint64_t part) {
    if (part == 0 || part == parts) return part == 0 ? 0 : kdump.max_mapnr;
    return frames.at(frames.size() * part / parts);
  };
  for (uint64_t part = 0; part < parts; ++part) {
    if (parts > 1) kdump.split = {first(part), first(part + 1)};
    write_file(part == 0 ? path : fmt::format("{}.{}", path, part + 1), how.flattened,
               [&](Sink& sink) { write_kdump(kdump, sink); });
  }
}

}  // namespace

ElfDescription elf_of(const Saved& saved) {
  ElfDescription elf = saved.elf;
  elf.notes = saved.cpu_notes;
  if (!saved.vmcoreinfo.empty()) elf.notes.push_back({"VMCOREINFO", 0, bytes_of(saved.vmcoreinfo)});
  return elf;
}

KdumpDescription kdump_of(const Saved& saved, const KdumpLine& line) {
  constexpr uint32_t kIncomplete = 8;
  KdumpDescription kdump;
  kdump.version = line.version;
  kdump.dump_level = line.level;
  kdump.word_size = line.word_size;
  kdump.byte_order = line.byte_order.value_or(saved.elf.byte_order);
  kdump.machine = line.machine.value_or(saved.uts_machine);
  kdump.block_size = line.block_size.value_or(static_cast<uint32_t>(saved.page_size));
  kdump.codecs = line.codecs;
  kdump.pages_written = line.pages_written;
  kdump.status = line.pages_written ? kIncomplete : 0;
  kdump.notes = saved.cpu_notes;
  kdump.vmcoreinfo = saved.vmcoreinfo;
  const uint64_t size = kdump.block_size;
  for (const Range& range : saved.ram) {
    for (uint64_t at = range.start; at + size <= range.end; at += size) kdump.memory.insert(at / size);
    kdump.max_mapnr = std::max(kdump.max_mapnr, range.end / size);
  }
  for (const Range& range : line.excluded)
    for (uint64_t at = range.start; at < range.end; at += size) kdump.excluded.insert(at / size);
  kdump.page = [bytes = saved.bytes, size](uint64_t pfn) {
    std::vector<std::byte> page(size);
    const Range range{pfn * size, (pfn + 1) * size};
    bytes(range, [&](uint64_t address, std::span<const std::byte> piece) {
      std::copy(piece.begin(), piece.end(), page.begin() + static_cast<ptrdiff_t>(address - range.start));
    });
    return page;
  };
  return kdump;
}

void save(const Saved& saved, const Description& how, const std::string& path) {
  switch (how.format) {
    case FileFormat::elf:
      write_file(path, how.flattened, [&](Sink& sink) { write_elf(elf_of(saved), sink); });
      break;
    case FileFormat::kdump:
      write_parts(saved, how, path);
      break;
    case FileFormat::lime:
      write_file(path, false, [&](Sink& sink) { write_lime(saved.bytes, saved.ram, sink); });
      break;
    case FileFormat::avml:
      write_file(path, false, [&](Sink& sink) { write_avml(saved.bytes, saved.ram, sink); });
      break;
    case FileFormat::raw:
      write_file(path, false, [&](Sink& sink) { write_raw(saved.bytes, saved.ram, sink); });
      break;
  }
  if (how.truncate) std::filesystem::resize_file(path, *how.truncate);
}

}  // namespace kvista::test
