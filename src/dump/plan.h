// Which pages a dump is to hold, and what its headers say.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "dump/notes.h"
#include "dump/request.h"
#include "dump/second_bitmap.h"
#include "kernel/session.h"
#include "pages/frame_scan.h"

namespace kvista::dump {

/// What the headers of a dump say of the kernel; 0 or empty where it is not known.
struct KernelIdentity {
  uint64_t phys_base = 0;
  uint64_t direct_map = 0;  ///< where physical address 0 is mapped
  uint32_t cpus = 0;
  std::array<std::string, 6> utsname;  ///< as image::KdumpHeader has it
};

class DumpPlan {
 public:
  /// Frames of one stretch, a multiple of 64, and how many of them are kept.
  struct Block {
    Pfn first;
    uint64_t kept = 0;
  };

  /// Gathers what is needed to tell pages apart. Throws an Error with the reason where that is not known.
  DumpPlan(const kernel::Session& session, const DumpRequest& request);

  const image::MemoryImage& image() const { return session_.image(); }
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

  /// Of the frames from `first` on, a bit each: which are memory.
  void mark_memory(Pfn first, std::span<std::byte> bits) const;

 private:
  void plan_all();
  void plan_by_class();
  void keep_all(SecondBitmap& second);
  void keep_by_class(SecondBitmap& second, DumpResult& result);
  Block& block_of(Pfn first);

  const kernel::Session& session_;
  const DumpRequest& request_;
  std::optional<pages::FrameScan> scan_;  // nothing where every page is kept
  Notes notes_;
  unsigned page_shift_ = 0;
  uint64_t block_frames_ = 0;
  std::vector<PhysRange> memory_;
  Pfn end_;
  std::vector<Block> blocks_;
};

}  // namespace kvista::dump
