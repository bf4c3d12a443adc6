// From where a stack of x86_64 was followed to, the ways to go on: by ORC, and without it.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "arch/x86_64/registers.h"
#include "unwind/stack_reader.h"
#include "unwind/trace.h"
#include "unwind/x86_64/orc_target.h"

namespace kvista::unwind {

/// Where a stack was followed to. What is not known has no value.
struct OrcState {
  VirtAddr ip;
  VirtAddr sp;
  std::optional<uint64_t> bp;
  bool is_bp_sure = true;  ///< false: as it was in the function that was called
  bool is_interrupted = false;
  bool is_at_breakpoint = false;  ///< ip is behind an int3, and what that stands for has not been done
  const Stack* stack = nullptr;
  std::optional<arch::x86_64::Registers> all;    ///< as an exception saved them, until the next call
  std::optional<arch::x86_64::Registers> saved;  ///< of this frame: all, or ip to ss
  bool has_all = false;                          ///< of `saved`
  std::optional<VirtAddr> at;
  Means means = Means::registers;
  std::string doubt = {};
};

/// For one trace.
class OrcWalk {
 public:
  OrcWalk(const OrcTarget& target, std::span<const Stack> stacks)
      : target_(target), reader_(target, stacks, ByteOrder::little) {}

 protected:
  /// The next frame, as the entry for the code says. Nothing where that makes no sense: `failure` says why.
  std::optional<OrcState> by_orc(const arch::x86_64::OrcEntry& entry, Failure& failure);
  /// As code that was made at run time has it, as BPF's: by the frame pointer.
  std::optional<OrcState> by_frame_pointer(Failure& failure);
  /// A guess: what on the stack looks like a return address.
  std::optional<OrcState> by_scan(Failure& failure);
  /// The registers at an address: all, or only those that the CPU pushes.
  std::optional<arch::x86_64::Registers> registers_at(VirtAddr address, bool are_all, Failure& failure) const;

  const OrcTarget& target_;
  StackReader reader_;
  OrcState state_;

 private:
  // The bytes before an address to which a call returns.
  using BytesBefore = std::array<std::byte, 7>;

  std::optional<uint64_t> word(VirtAddr address, Failure& failure) const;
  std::optional<uint64_t> base_register(arch::x86_64::Reg reg, Failure& failure) const;
  std::optional<uint64_t> frame_base(Failure& failure) const;
  bool follows(const OrcState& next, Failure& failure);
  bool is_kernel_code(const OrcState& next, Failure& failure) const;
  std::optional<uint64_t> caller_sp(const arch::x86_64::OrcEntry& entry, Failure& failure) const;
  bool find_bp(const arch::x86_64::OrcEntry& entry, VirtAddr caller_sp, OrcState& next,
               Failure& failure) const;
  bool take_registers(VirtAddr address, bool are_all, OrcState& next, Failure& failure) const;
  bool is_behind_breakpoint(VirtAddr ip) const;
  OrcState at_return_address(VirtAddr at, uint64_t address, Means means) const;
  std::optional<BytesBefore> bytes_before(VirtAddr address) const;
  bool looks_like_return(VirtAddr address) const;
  bool follows_call_of(VirtAddr address, VirtAddr function) const;
  template <typename IsWanted>
  std::optional<OrcState> find_on(VirtAddr from, const Stack& stack, Means means, Failure& failure,
                                  IsWanted is_wanted) const;
  std::optional<OrcState> scan(VirtAddr from, const Stack& stack, Failure& failure) const;
  std::optional<OrcState> over_the_top(Failure& failure);
  std::optional<OrcState> by_call_site(Failure& failure) const;
};

}  // namespace kvista::unwind
