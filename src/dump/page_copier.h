// From frames to what a dump has of them: each page read once, and compressed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "codec/compress.h"
#include "dump/erased_ranges.h"
#include "image/memory_image.h"

namespace kvista::dump {

/// A page as the dump has it.
struct CopiedPage {
  enum class Kind : uint8_t { raw, compressed, zero, missing };
  Kind kind = Kind::missing;
  uint32_t size = 0;  ///< of its bytes; 0 for zero and missing
};

/// Pages of the frames from `first` on whose bits are set. One is used again and again: memory that is new
/// costs a fault a page.
struct CopiedChunk {
  Pfn first;
  std::vector<std::byte> bits;
  std::vector<CopiedPage> pages;
  std::unique_ptr<std::byte[]> room;  ///< for all pages of a chunk
  size_t filled = 0;                  ///< bytes of `room`
  std::array<uint64_t, image::kPageStateCount> missing{};

  /// Of the pages that have any, back to back.
  std::span<const std::byte> bytes() const { return {room.get(), filled}; }
  void clear() {
    pages.clear();
    filled = 0;
    missing = {};
  }
};

/// Copies for one thread.
class PageCopier {
 public:
  /// Without a codec pages are copied as they are, but for what `erased` overwrites.
  PageCopier(const image::MemoryImage& image, std::optional<codec::Codec> codec, int level,
             unsigned page_shift, uint64_t chunk_pages, const ErasedRanges& erased);

  /// The pages whose bits are set, as many as a chunk has at most, of the frames from `first` on, in place of
  /// what `chunk` held.
  void copy(Pfn first, std::span<const std::byte> bits, CopiedChunk& chunk);

 private:
  void copy_run(Pfn pfn, uint64_t count, CopiedChunk& chunk);
  void add_erased(PhysAddr at, std::span<const std::byte> pages, CopiedChunk& chunk);
  void add_page(std::span<const std::byte> page, CopiedChunk& chunk);

  const image::MemoryImage& image_;
  std::unique_ptr<codec::Compressor> compressor_;
  unsigned page_shift_;
  uint64_t chunk_pages_;
  const ErasedRanges& erased_;
  std::vector<std::byte> page_;  // one that is overwritten
  size_t bound_;                 // of a page's bytes, compressed or not, while it is made
  image::Window window_;
};

}  // namespace kvista::dump
