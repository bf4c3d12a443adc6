// Physical memory as an image, without a file.
#pragma once

#include <utility>
#include <vector>

#include "image/memory_image.h"
#include "images/memory.h"

namespace kvista::test {

/// Shows `memory`, which must outlive this, through `ram`: what was not written there is zeros, except in
/// `absent`, which has no bytes.
class TestImage final : public image::MemoryImage {
 public:
  TestImage(const PhysicalMemory& memory, std::vector<PhysRange> ram, std::vector<PhysRange> absent = {})
      : memory_(memory), absent_(std::move(absent)) {
    ram_ = std::move(ram);
  }

  image::ReadResult read(PhysAddr address, std::span<std::byte> out) const override {
    for (size_t done = 0; done < out.size(); ++done) {
      const image::PageState state = state_of(address + done);
      if (state != image::PageState::present) return {done, state};
      memory_.read((address + done).value, out.subspan(done, 1));
    }
    return {out.size(), image::PageState::present};
  }
  std::vector<std::byte> read_note(const image::Note& /*note*/, uint64_t /*limit*/) const override {
    return {};
  }
  void make_live() { traits_.live = true; }

 private:
  image::PageState state_of(PhysAddr address) const {
    for (const PhysRange& range : absent_)
      if (range.contains(address)) return image::PageState::absent;
    for (const PhysRange& range : ram_)
      if (range.contains(address)) return image::PageState::present;
    return image::PageState::beyond;
  }

  const PhysicalMemory& memory_;
  std::vector<PhysRange> absent_;
};

}  // namespace kvista::test
