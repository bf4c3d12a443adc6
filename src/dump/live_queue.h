// The frames of a running kernel's dump, handed out stage by stage: what says how memory is used comes first,
// so that it is of one time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "dump/plan.h"
#include "dump/second_bitmap.h"

namespace kvista::dump {

/// Each frame is handed out once, whatever becomes of it meanwhile. Its struct page is looked at again just
/// before. Safe to use from several threads.
class LiveQueue {
 public:
  struct Chunk {
    size_t number = 0;   ///< from 0 on
    uint64_t index = 0;  ///< of the first page among all of the dump
    Pfn first;
    std::span<const std::byte>
        bits;               ///< of the frames from `first` on, whole words; their pages stand together
    bool may_touch = true;  ///< not: in the meantime these frames must not be read
  };
  LiveQueue(const DumpPlan& plan, const SecondBitmap& kept);

  /// The next chunk, whose bits are kept in `room`; nothing where there is none.
  std::optional<Chunk> next(std::vector<std::byte>& room);
  /// Frames that were to be kept, and would not be by what their struct pages said when they were handed out.
  uint64_t changed() const { return changed_; }

 private:
  bool go_on();
  void enter_block();
  uint64_t take_run(uint64_t from);

  const DumpPlan& plan_;
  const SecondBitmap& second_;
  std::mutex mutex_;
  std::vector<std::byte> done_;  // a bit for each frame of each block
  std::vector<std::byte> kept_;  // of the block
  std::vector<std::byte> todo_;
  std::vector<std::byte> untouchable_;
  std::vector<pages::ClassByte> classes_;
  Stage stage_ = Stage::tables;
  size_t block_ = 0;     // the next to be entered
  uint64_t at_ = 0;      // the next frame of the entered block
  uint64_t index_ = 0;   // the page of that frame
  uint64_t before_ = 0;  // pages of the blocks before the next
  size_t number_ = 0;
  uint64_t changed_ = 0;
};

}  // namespace kvista::dump
