#include "dump/notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/endian.h"

namespace kvista::dump {
namespace {

constexpr std::string_view kVmcoreinfo = "VMCOREINFO";
constexpr std::string_view kEraseinfo = "ERASEINFO";
constexpr uint32_t kPrstatus = 1;  // NT_PRSTATUS
constexpr uint64_t kNoteHeader = 12;
// A note of one CPU has KiB: what is longer is damage.
constexpr uint64_t kMostNote = uint64_t{16} << 20;

// Names and descriptors of core files are filled up to 4 bytes on every architecture.
constexpr uint64_t padded(uint64_t size) {
  return (size + 3) / 4 * 4;
}

}  // namespace

Notes::Notes(const image::MemoryImage& image, std::string vmcoreinfo)
    : image_(image), text_(std::move(vmcoreinfo)) {
  for (const image::Note& note : image.notes()) {
    if (note.name == kEraseinfo || (image.traits().live && note.name != kVmcoreinfo)) continue;
    if (note.name == kVmcoreinfo && !text_.empty()) continue;
    if (note.size > kMostNote)
      throw FormatError(fmt::format("{}: the note {} says that it has {} bytes: the image is damaged",
                                    image.traits().path, note.name, note.size),
                        note.offset);
    entries_.push_back({note, false});
  }
  if (!text_.empty()) entries_.push_back({{std::string(kVmcoreinfo), 0, 0, text_.size()}, true});
}

uint64_t Notes::head_size(const Entry& entry) {
  return kNoteHeader + padded(entry.note.name.size() + 1);
}

uint64_t Notes::size() const {
  uint64_t size = 0;
  for (const Entry& entry : entries_) size += head_size(entry) + padded(entry.note.size);
  return size;
}

uint32_t Notes::cpus() const {
  return static_cast<uint32_t>(std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) {
    return entry.note.name == "CORE" && entry.note.type == kPrstatus;
  }));
}

image::FilePart Notes::vmcoreinfo(uint64_t offset) const {
  for (const Entry& entry : entries_) {
    if (entry.note.name == kVmcoreinfo) return {offset + head_size(entry), entry.note.size};
    offset += head_size(entry) + padded(entry.note.size);
  }
  return {};
}

std::vector<std::byte> Notes::head_of(const Entry& entry) const {
  const ByteOrder order = image_.traits().byte_order;
  std::vector<std::byte> head(head_size(entry));
  store(head.data(), static_cast<uint32_t>(entry.note.name.size() + 1), order);
  store(&head[4], static_cast<uint32_t>(entry.note.size), order);
  store(&head[8], entry.note.type, order);
  std::memcpy(&head[kNoteHeader], entry.note.name.data(), entry.note.name.size());
  return head;
}

void Notes::write(Output& output, uint64_t offset) const {
  for (const Entry& entry : entries_) {
    std::vector<std::byte> bytes = head_of(entry);
    const auto text = std::as_bytes(std::span(text_));
    const auto descriptor =
        entry.own ? std::vector(text.begin(), text.end()) : image_.read_note(entry.note, entry.note.size);
    bytes.insert(bytes.end(), descriptor.begin(), descriptor.end());
    // Also what the source's file is too short for.
    bytes.resize(head_size(entry) + padded(entry.note.size));
    output.write(offset, bytes);
    offset += bytes.size();
  }
}

std::vector<std::byte> eraseinfo_of(const image::MemoryImage& image) {
  for (const image::Note& note : image.notes())
    if (note.name == kEraseinfo) return image.read_note(note, kMostNote);
  return {};
}

}  // namespace kvista::dump
