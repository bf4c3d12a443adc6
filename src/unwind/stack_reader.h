// The stacks that may be on the way while one is followed, and their words.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/endian.h"
#include "unwind/stack.h"
#include "unwind/target.h"

namespace kvista::unwind {

/// What a step could not do, in one sentence.
struct Failure {
  std::string why;
  bool is_fatal = false;  ///< memory is missing: no other means would do better
};

/// For one trace. Nothing but stacks is read: what a damaged frame leads to says nothing.
class StackReader {
 public:
  static constexpr uint64_t kWord = 8;

  /// `target` and `stacks` must outlive it.
  StackReader(const Target& target, std::span<const Stack> stacks, ByteOrder order)
      : target_(target), stacks_(stacks), order_(order) {}

  const Target& target() const { return target_; }
  ByteOrder byte_order() const { return order_; }

  /// The stack that an address is in, or null.
  const Stack* stack_of(VirtAddr address) const;
  /// The same for a stack pointer, which is behind the last word where nothing is on the stack, and in the
  /// guard page below a stack that is used up (the next page up: __unwind_start() of
  /// arch/x86/kernel/unwind_orc.c).
  const Stack* stack_of_pointer(VirtAddr sp) const;
  /// Notes that a stack is gone through now. False where it was before, or there is none.
  bool visit(const Stack* stack);
  bool is_visited(const Stack* stack) const { return visited_.contains(stack); }

  /// The word at an address to which the frame of `code` leads.
  std::optional<uint64_t> word(VirtAddr code, VirtAddr address, Failure& failure) const;
  /// The registers there: all of `out` must be in one stack.
  bool read_registers(VirtAddr code, VirtAddr address, std::span<std::byte> out, Failure& failure) const;

 private:
  const Target& target_;
  std::span<const Stack> stacks_;
  ByteOrder order_;
  std::set<const Stack*> visited_;
};

}  // namespace kvista::unwind
