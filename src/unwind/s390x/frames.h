// The frames of s390x: a chain that leads from each frame to the caller's (-mbackchain). A function saves its
// registers, with where it returns to, in the frame of its caller, so that a frame has what its function goes
// on with. Where the chain is 0, the registers with which the kernel was entered are behind the frame.
#pragma once

#include "arch/s390x/registers.h"
#include "unwind/frame_format.h"

namespace kvista::unwind::s390x {

/// What differs between kernels: struct stack_frame, here of a packed stack (-mpacked-stack; an option once,
/// CONFIG_PACK_STACK), and struct pt_regs.
struct FrameFacts {
  arch::s390x::FrameLayout layout;
  uint64_t frame_size = 160;
  uint64_t psw_in_saved = 8;  ///< where in struct pt_regs its registers begin
  uint64_t saved_size = 200;  ///< bytes of struct pt_regs
};

class Frames final : public FrameFormat {
 public:
  explicit Frames(FrameFacts facts) : facts_(facts) {}

  std::optional<FrameStep> step(const FramePosition& position, const StackReader& reader,
                                Failure& failure) const override;
  size_t registers_size() const override;
  std::optional<arch::Registers> parse_registers(std::span<const std::byte> bytes) const override;
  VirtAddr strip(VirtAddr address) const override { return address; }
  size_t call_size() const override { return 6; }
  bool ends_with_call(std::span<const std::byte> code) const override;
  std::optional<FrameLink> link(std::span<const std::byte> code,
                                const arch::Registers& registers) const override;
  std::optional<FrameStep> record_at(VirtAddr at, const StackReader& reader) const override;

 private:
  std::optional<FrameStep> frame_at(const FramePosition& position, VirtAddr frame, const StackReader& reader,
                                    Failure& failure) const;
  std::optional<FrameStep> entry(const FramePosition& position, const StackReader& reader,
                                 Failure& failure) const;

  FrameFacts facts_;
};

}  // namespace kvista::unwind::s390x
