#include "dump/notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/endian.h"
#include "image/own_note.h"

namespace kvista::dump {
namespace {

constexpr std::string_view kVmcoreinfo = "VMCOREINFO";
constexpr uint32_t kPrstatus = 1;  // NT_PRSTATUS
constexpr uint64_t kNoteHeader = 12;
// A note of one CPU has KiB: what is longer is damage.
constexpr uint64_t kMostNote = uint64_t{16} << 20;

// Names and descriptors of core files are filled up to 4 bytes on every architecture.
constexpr uint64_t padded(uint64_t size) {
  return (size + 3) / 4 * 4;
}

}  // namespace

uint64_t note_head_size(std::string_view name) {
  return kNoteHeader + padded(name.size() + 1);
}

std::vector<std::byte> note_bytes(std::string_view name, uint32_t type, std::span<const std::byte> descriptor,
                                  ByteOrder order) {
  const uint64_t head = note_head_size(name);
  std::vector<std::byte> bytes(head + padded(descriptor.size()));
  store(bytes.data(), static_cast<uint32_t>(name.size() + 1), order);
  store(&bytes[4], static_cast<uint32_t>(descriptor.size()), order);
  store(&bytes[8], type, order);
  std::memcpy(&bytes[kNoteHeader], name.data(), name.size());
  std::copy(descriptor.begin(), descriptor.end(), bytes.begin() + static_cast<ptrdiff_t>(head));
  return bytes;
}

Notes::Notes(const image::MemoryImage& image, ByteOrder order, std::string vmcoreinfo,
             std::optional<uint64_t> live_since)
    : image_(image), order_(order), text_(std::move(vmcoreinfo)), live_since_(live_since.value_or(0)) {
  for (const image::Note& note : image.notes()) {
    if (note.name == kEraseinfo || (image.traits().live && note.name != kVmcoreinfo)) continue;
    if (note.name == kVmcoreinfo && !text_.empty()) continue;
    if (note.size > kMostNote)
      throw FormatError(fmt::format("{}: the note {} says that it has {} bytes: the image is damaged",
                                    image.traits().path, note.name, note.size),
                        note.offset);
    entries_.push_back({note, Source::image});
  }
  if (!text_.empty()) entries_.push_back({{std::string(kVmcoreinfo), 0, 0, text_.size()}, Source::text});
  if (live_since)
    entries_.push_back(
        {{std::string(image::kOwnNoteName), image::kLiveNoteType, 0, image::kLiveNoteSize}, Source::live});
}

uint64_t Notes::size() const {
  uint64_t size = 0;
  for (const Entry& entry : entries_) size += note_head_size(entry.note.name) + padded(entry.note.size);
  return size;
}

uint32_t Notes::cpus() const {
  return static_cast<uint32_t>(std::count_if(entries_.begin(), entries_.end(), [](const Entry& entry) {
    return entry.note.name == "CORE" && entry.note.type == kPrstatus;
  }));
}

image::FilePart Notes::vmcoreinfo(uint64_t offset) const {
  for (const Entry& entry : entries_) {
    if (entry.note.name == kVmcoreinfo) return {offset + note_head_size(entry.note.name), entry.note.size};
    offset += note_head_size(entry.note.name) + padded(entry.note.size);
  }
  return {};
}

std::vector<std::byte> Notes::descriptor_of(const Entry& entry, uint64_t live_until) const {
  const auto text = std::as_bytes(std::span(text_));
  switch (entry.source) {
    case Source::text:
      return {text.begin(), text.end()};
    case Source::live:
      return image::live_note_bytes({live_since_, live_until}, order_);
    case Source::image:
      break;
  }
  return image_.read_note(entry.note, entry.note.size);
}

void Notes::write(Output& output, uint64_t offset, uint64_t live_until) const {
  for (const Entry& entry : entries_) {
    auto descriptor = descriptor_of(entry, live_until);
    descriptor.resize(entry.note.size);  // also what the source's file is too short for
    const auto bytes = note_bytes(entry.note.name, entry.note.type, descriptor, order_);
    output.write(offset, bytes);
    offset += bytes.size();
  }
}

std::vector<std::byte> eraseinfo_of(const image::MemoryImage& image, std::string_view record) {
  std::vector<std::byte> info;
  for (const image::Note& note : image.notes())
    if (note.name == kEraseinfo && info.empty()) info = image.read_note(note, kMostNote);
  if (record.empty()) return info;
  // What it ends with may be no end of a line.
  while (!info.empty() && info.back() == std::byte{0}) info.pop_back();
  if (!info.empty() && info.back() != std::byte{'\n'}) info.push_back(std::byte{'\n'});
  const auto more = std::as_bytes(std::span(record));
  info.insert(info.end(), more.begin(), more.end());
  return info;
}

}  // namespace kvista::dump
