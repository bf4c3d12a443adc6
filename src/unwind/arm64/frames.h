// The frames of arm64: a chain of frame records (AAPCS64: the caller's frame pointer, the return address), of
// which the kernel puts one into the registers that an exception saves.
#pragma once

#include <vector>

#include "unwind/frame_format.h"

namespace kvista::unwind::arm64 {

/// What differs between kernels.
struct FrameFacts {
  uint64_t signature_mask = 0;   ///< bits of a return address that pointer authentication takes; 0: none
  uint64_t saved_size = 0;       ///< bytes of struct pt_regs; 0: not known
  uint64_t record_in_saved = 0;  ///< where in it its frame record is
  bool has_types = false;        ///< behind a record of zeros stands what it is (struct frame_record_meta)
  std::vector<VirtRange> beginnings;  ///< code that nobody called
};

class Frames final : public FrameFormat {
 public:
  explicit Frames(FrameFacts facts) : facts_(std::move(facts)) {}

  std::optional<FrameStep> step(const FramePosition& position, const StackReader& reader,
                                Failure& failure) const override;
  size_t registers_size() const override;
  std::optional<arch::Registers> parse_registers(std::span<const std::byte> bytes) const override;
  VirtAddr strip(VirtAddr address) const override;
  size_t call_size() const override { return 4; }
  bool ends_with_call(std::span<const std::byte> code) const override;
  std::optional<FrameLink> link(std::span<const std::byte> code,
                                const arch::Registers& registers) const override;
  std::optional<FrameStep> record_at(VirtAddr at, const StackReader& reader) const override;

 private:
  bool is_beginning(const FramePosition& position) const;
  std::optional<FrameStep> typed(const FramePosition& position, const StackReader& reader,
                                 Failure& failure) const;
  bool is_last(VirtAddr record, const StackReader& reader) const;
  bool is_saved(VirtAddr record, uint64_t fp, uint64_t address, const StackReader& reader) const;
  FrameStep saved(VirtAddr record) const;
  FrameStep last(VirtAddr record) const;

  FrameFacts facts_;
};

}  // namespace kvista::unwind::arm64
