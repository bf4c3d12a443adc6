// Which pages a dump is to hold, and what its headers say.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "dump/notes.h"
#include "dump/page_choice.h"
#include "dump/request.h"
#include "dump/second_bitmap.h"
#include "kernel/session.h"
#include "pages/frame_scan.h"

namespace kvista::dump {

/// What the headers of a dump say of the kernel; 0 or empty where it is not known.
struct KernelIdentity {
  uint64_t phys_base = 0;
  std::optional<uint64_t> direct_map;  ///< where physical address 0 is mapped, or would be
  uint32_t cpus = 0;
  std::array<std::string, 6> utsname;  ///< as image::KdumpHeader has it
};

/// Of a running kernel, what is copied first is what says how memory is used, so that it is of one time.
enum class Stage : uint8_t {
  tables,       ///< the kernel image, the memory map, page tables
  kernel_data,  ///< slab, reserved pages and other kernel data
  rest,
};

class DumpPlan {
 public:
  /// Gathers what is needed to tell pages apart. Throws an Error with the reason where that is not known.
  DumpPlan(const kernel::Session& session, const DumpRequest& request);

  const image::MemoryImage& image() const { return session_.image(); }
  /// The byte order of the memory, in which all of the dump is written. That of the image's own headers can
  /// be another: QEMU writes big-endian ones around a ppc64le guest, and raw memory has none.
  ByteOrder byte_order() const { return session_.byte_order(); }
  /// The ELF machine: the image's, else by what its memory shows.
  uint16_t elf_machine() const { return session_.elf_machine(); }
  const Notes& notes() const { return notes_; }
  unsigned page_shift() const { return page_shift_; }
  uint64_t page_size() const { return uint64_t{1} << page_shift_; }
  /// The end of the last frame of memory.
  Pfn end() const { return end_; }
  /// Memory, held by the image or not: sorted and disjoint.
  std::span<const PhysRange> memory() const { return memory_; }
  /// The level, with what the source already lacks.
  unsigned level() const;
  KernelIdentity identity() const;

  /// The counting pass: whether each frame is kept goes to `second`, a bit each; counts and warnings to
  /// `result`.
  void decide(SecondBitmap& second, DumpResult& result);
  /// The blocks that hold something, in order; after decide().
  std::span<const Block> blocks() const { return blocks_; }
  uint64_t block_frames() const { return block_frames_; }

  /// Makes the decisions of a block once more, as they were; nothing where they would not be the same. It
  /// throws AccessError where the image reads differently now.
  SecondBitmap::Again again() const;
  const MemoryShare& memory_share() const { return request_.memory; }
  /// A chunk of pages that are copied together has so many at most.
  uint64_t chunk_pages() const { return std::max<uint64_t>(1, request_.memory.chunk_bytes >> page_shift_); }

  /// Of a running kernel, for the frames of a block: their classes as they are now, and whether each would be
  /// kept by them. After decide().
  void look_again(Pfn block, std::span<pages::ClassByte> classes, std::span<std::byte> kept) const;
  /// Whether a frame of a class may be read at all.
  bool may_touch(pages::ClassByte byte) const { return choice_->may_touch(byte); }
  /// When a frame of a running kernel is copied.
  Stage stage_of(PhysAddr address, pages::ClassByte byte) const;
  const machine::AddressSpace& space() const { return session_.space(); }

  /// Of the frames from `first` on, a bit each: which are memory.
  void mark_memory(Pfn first, std::span<std::byte> bits) const;

 private:
  void plan_all();
  void plan_by_class();
  void keep_all(SecondBitmap& second);
  void keep_memory(Pfn first, std::span<std::byte> kept) const;
  void keep_by_class(SecondBitmap& second, DumpResult& result);
  void leave_out_map(SecondBitmap& second, DumpResult& result);
  Block& block_of(Pfn first);
  void decide_again(Pfn first, std::span<std::byte> kept) const;
  void leave_out_own(Pfn first, std::span<std::byte> kept, DumpResult& result) const;

  const kernel::Session& session_;
  const DumpRequest& request_;
  std::optional<pages::FrameScan> scan_;  // nothing where every page is kept
  Notes notes_;
  unsigned page_shift_ = 0;
  uint64_t block_frames_ = 0;
  std::vector<PhysRange> memory_;
  Pfn end_;
  std::vector<Block> blocks_;
  std::optional<PageChoice> choice_;  // as scan_, after decide()
  std::vector<Pfn> own_pages_;        // of a running kernel: this process's
  mutable std::mutex own_mutex_;
};

}  // namespace kvista::dump
