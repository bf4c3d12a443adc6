// How the frames of an architecture hang together: what compilers and the kernel's entries leave on a stack.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "arch/registers.h"
#include "unwind/stack_reader.h"

namespace kvista::unwind {

/// Where a stack was followed to.
struct FramePosition {
  VirtAddr ip;  ///< to which a call returns, or of the instruction that was interrupted
  VirtAddr fp;  ///< the frame pointer there: the frame of its function, or of that one's caller
  bool is_interrupted = false;
  VirtAddr lowest = {};  ///< behind what was found so far, or the stack pointer where nothing was

  /// The address by which to look for the function.
  VirtAddr lookup_address() const { return is_interrupted ? ip : ip - 1; }
};

/// What stands behind a frame.
struct FrameStep {
  enum class Kind : uint8_t {
    call,       ///< a return address, and the frame pointer of what called
    registers,  ///< it was entered by an exception, which saved the registers
    end,        ///< nobody called it
  };
  Kind kind = Kind::call;
  VirtAddr ip = {};  ///< of a call: where it returns to
  VirtAddr fp = {};  ///< of a call: the caller's
  VirtAddr at = {};  ///< where the instruction pointer stands that was found
  /// What was found, [first, end): all that follows on the same stack is further up. Nothing, where an end
  /// needs none.
  VirtAddr first = {};
  VirtAddr end = {};
  /// Where the registers are that were saved, if they were; at an end, those of user mode.
  std::optional<VirtAddr> registers = {};
  /// Of a record that was searched for: what it leads to, where that is not `fp`.
  std::optional<VirtAddr> next = {};
};

/// What a function without a frame that is whole returns to.
struct FrameLink {
  VirtAddr ip;
  /// Where the frame pointer of its caller stands; nothing where the function left that in its register.
  std::optional<VirtAddr> saved_fp = {};
  /// Where `ip` was saved, if it was: its register may be used for something else since.
  std::optional<VirtAddr> saved_ip = {};
  /// Its caller's stack pointer, where frames are found by that and not by a register of their own.
  std::optional<VirtAddr> sp = {};
};

/// One architecture's, of one kernel.
class FrameFormat {
 public:
  FrameFormat() = default;
  FrameFormat(const FrameFormat&) = delete;
  FrameFormat& operator=(const FrameFormat&) = delete;
  virtual ~FrameFormat() = default;

  /// What stands at the frame pointer of `position`. Nothing where that makes no sense: `failure` says why.
  virtual std::optional<FrameStep> step(const FramePosition& position, const StackReader& reader,
                                        Failure& failure) const = 0;
  /// Bytes of a struct pt_regs, as far as registers are in it, and these.
  virtual size_t registers_size() const = 0;
  virtual std::optional<arch::Registers> parse_registers(std::span<const std::byte> bytes) const = 0;

  /// A return address without what it carries beside.
  virtual VirtAddr strip(VirtAddr address) const = 0;
  /// Bytes of the longest call, and whether code ends with one.
  virtual size_t call_size() const = 0;
  virtual bool ends_with_call(std::span<const std::byte> code) const = 0;
  /// Where a function that was entered at the start of `code` and interrupted at its end would return to, if
  /// that is in a register still.
  virtual std::optional<FrameLink> link(std::span<const std::byte> code,
                                        const arch::Registers& registers) const = 0;
  /// What looks like a frame that was called, with its lowest word there: for a search, where what should
  /// lead to it does not. Whether it is one, is for who searches to judge.
  virtual std::optional<FrameStep> record_at(VirtAddr at, const StackReader& reader) const = 0;
};

}  // namespace kvista::unwind
