// What bytes are at a physical address, or why there are none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/file.h"
#include "kvista/image.h"

namespace kvista::image {

/// One stretch of memory as the image's own headers describe it: evidence, not truth.
struct Segment {
  std::optional<VirtAddr>
      vaddr;  ///< nothing where the writer gave none (0, or equal to the physical address)
  std::optional<PhysAddr> paddr;  ///< nothing where there is none (/proc/kcore's vmalloc area: -1)
  uint64_t size = 0;
};

/// A note of the image; its descriptor is read when asked for.
struct Note {
  std::string name;
  uint32_t type = 0;
  uint64_t offset = 0;  ///< of the descriptor, in the file
  uint64_t size = 0;    ///< of the descriptor
};

/// What a thread looks at an image through: a piece of the file, or a copy.
struct Window {
  FileWindow file;
  std::vector<std::byte> copy;
};

/// Bytes of an image, the first of those asked for as far as they are there; where that is not all, `state`
/// says why the next is not.
struct View {
  std::span<const std::byte> bytes;
  PageState state = PageState::present;
};

/// A machine's memory. Constant after opening, and safe to read from several threads at once.
class MemoryImage {
 public:
  MemoryImage() = default;
  MemoryImage(const MemoryImage&) = delete;
  MemoryImage& operator=(const MemoryImage&) = delete;
  virtual ~MemoryImage() = default;

  const Traits& traits() const { return traits_; }
  /// The physical memory that the image covers, sorted and disjoint. What two segments both hold is there
  /// once.
  std::span<const PhysRange> ram() const { return ram_; }
  /// The part of ram() whose bytes the image can hold, for who looks through all of them.
  virtual std::vector<PhysRange> stored() const { return ram_; }
  /// Of the frames from `first` on, a bit each, lowest first: clears those whose bytes the image was never
  /// meant to hold (excluded, beyond, absent). Frames that it lost keep their bits. `bits` stands for a
  /// multiple of 64 frames, and `first` is one too.
  virtual void clear_missing(Pfn first, unsigned page_shift, std::span<std::byte> bits) const;
  std::span<const Segment> segments() const { return segments_; }
  std::span<const Note> notes() const { return notes_; }
  /// What is odd about the image but does not stop it from being read; one sentence each.
  std::span<const std::string> warnings() const { return warnings_; }

  /// A page state in words, with what the image says of why: "excluded by dump level 31".
  std::string describe_state(PageState state) const;

  /// For who opened the image through a layer around it: `layer` joins the format's name, and `warnings` come
  /// before the image's own.
  void add_layer(const std::string& layer, std::vector<std::string> warnings);

  /// Reads `out.size()` bytes at `address`, as far as they are there.
  virtual ReadResult read(PhysAddr address, std::span<std::byte> out) const = 0;
  /// As `read`, but without a copy where the image can do without; valid until `window` is used again.
  virtual View view(PhysAddr address, size_t size, Window& window) const;
  /// The descriptor of `note`, at most `limit` bytes of it; shorter where the file is cut.
  virtual std::vector<std::byte> read_note(const Note& note, uint64_t limit) const = 0;

 protected:
  Traits traits_;
  std::vector<PhysRange> ram_;
  std::vector<Segment> segments_;
  std::vector<Note> notes_;
  std::vector<std::string> warnings_;
};

}  // namespace kvista::image
