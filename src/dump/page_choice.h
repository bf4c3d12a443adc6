// Which frames a dump of a level holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/address.h"
#include "dump/request.h"
#include "image/memory_image.h"
#include "kvista/page_class.h"

namespace kvista::dump {

/// Whether a frame of a class is kept. What must not be touched is never kept: hwpoison, offline and
/// unaccepted memory.
class KeepTable {
 public:
  explicit KeepTable(unsigned level);
  bool keeps(pages::ClassByte byte) const { return what_[byte] == What::keep; }
  /// Whether the frame may be kept against the level.
  bool may_keep(pages::ClassByte byte) const { return what_[byte] != What::never; }

 private:
  enum class What : uint8_t { keep, leave_out, never };
  std::array<What, 256> what_{};
};

/// Decides for one stretch of frames after another; safe to use from several threads.
class PageChoice {
 public:
  PageChoice(const image::MemoryImage& image, unsigned level, unsigned page_shift,
             std::vector<PhysRange> kept_always)
      : image_(image), keep_(level), page_shift_(page_shift), kept_always_(std::move(kept_always)) {}

  /// Says for the frames from `first` on, each with its class, which are kept: a bit each. Counts them in
  /// `counts`.
  void decide(Pfn first, std::span<const pages::ClassByte> classes, std::span<std::byte> kept,
              PageCounts& counts) const;
  /// Whether frames of a class may be read.
  bool may_touch(pages::ClassByte byte) const { return keep_.may_keep(byte); }
  /// Whether a frame is kept whatever its struct page says: the kernel image and the memory map.
  bool is_protected(PhysAddr address) const;

 private:
  void keep_protected(Pfn first, std::span<const pages::ClassByte> classes, std::span<std::byte> kept,
                      PageCounts& counts) const;

  const image::MemoryImage& image_;
  KeepTable keep_;
  unsigned page_shift_;
  std::vector<PhysRange> kept_always_;
};

}  // namespace kvista::dump
