// The frames of riscv64: below the frame pointer stand the return address and the caller's frame pointer.
// What an exception saves is above the frame that the kernel's entry calls.
#pragma once

#include <vector>

#include "unwind/frame_format.h"

namespace kvista::unwind::riscv64 {

/// What differs between kernels.
struct FrameFacts {
  uint64_t saved_size = 0;            ///< bytes of struct pt_regs
  std::vector<VirtRange> entries;     ///< code that saves registers, and then calls
  std::vector<VirtRange> beginnings;  ///< code that nobody called
};

class Frames final : public FrameFormat {
 public:
  explicit Frames(FrameFacts facts) : facts_(std::move(facts)) {}

  std::optional<FrameStep> step(const FramePosition& position, const StackReader& reader,
                                Failure& failure) const override;
  size_t registers_size() const override;
  std::optional<arch::Registers> parse_registers(std::span<const std::byte> bytes) const override;
  VirtAddr strip(VirtAddr address) const override { return address; }
  size_t call_size() const override { return 4; }
  bool ends_with_call(std::span<const std::byte> code) const override;
  std::optional<FrameLink> link(std::span<const std::byte> code,
                                const arch::Registers& registers) const override;
  std::optional<FrameStep> record_at(VirtAddr at, const StackReader& reader) const override;

 private:
  bool has_saved(const FramePosition& position, const StackReader& reader) const;

  FrameFacts facts_;
};

}  // namespace kvista::unwind::riscv64
