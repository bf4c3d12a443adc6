// The notes of a dump: those of its source, byte for byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dump/output.h"
#include "image/kdump_header.h"
#include "image/memory_image.h"

namespace kvista::dump {

/// A note as core files have it.
std::vector<std::byte> note_bytes(std::string_view name, uint32_t type, std::span<const std::byte> descriptor,
                                  ByteOrder order);
/// The bytes before its descriptor.
uint64_t note_head_size(std::string_view name);

/// What is written one after another as the dump's notes. CPU notes of large machines are tens of MB: they
/// are read when they are written.
class Notes {
 public:
  /// Those of `image`, and `vmcoreinfo` where the image has none (it was found in memory, or the user gave
  /// it). Of a running kernel only VMCOREINFO: the registers that /proc/kcore shows are not those of a crash.
  /// Throws FormatError where a note is longer than any is.
  /// With `live_since`, seconds since 1970, a note says that the dump is of a running kernel.
  /// Numbers are written in `order`.
  Notes(const image::MemoryImage& image, ByteOrder order, std::string vmcoreinfo,
        std::optional<uint64_t> live_since = {});

  /// Bytes that they take.
  uint64_t size() const;
  /// How many CPUs have registers in them.
  uint32_t cpus() const;
  /// The text of VMCOREINFO, where the notes begin at `offset`.
  image::FilePart vmcoreinfo(uint64_t offset) const;
  /// `live_until` is for the note about a running kernel: 0 while the dump is not complete.
  void write(Output& output, uint64_t offset, uint64_t live_until = 0) const;

 private:
  enum class Source : uint8_t { image, text, live };
  struct Entry {
    image::Note note;
    Source source = Source::image;
  };
  std::vector<std::byte> descriptor_of(const Entry& entry, uint64_t live_until) const;
  const image::MemoryImage& image_;
  ByteOrder order_;
  std::string text_;
  uint64_t live_since_;
  std::vector<Entry> entries_;
};

inline constexpr std::string_view kEraseinfo = "ERASEINFO";
/// What the source says was erased in it, and behind it `record`: what is erased now. Empty where both are.
std::vector<std::byte> eraseinfo_of(const image::MemoryImage& image, std::string_view record);

}  // namespace kvista::dump
