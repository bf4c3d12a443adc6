// What the inputs of stacks have in common: memory in which code and stacks are, and a head that says where
// to start.
#pragma once

#include <algorithm>
#include <array>

#include "fuzz/targets.h"
#include "unwind/trace.h"

namespace kvista::fuzz {

/// The input's memory behind its head, from kUnwindStart on, as a `Base`. All of it is code, in functions of
/// 64 bytes.
template <typename Base>
class InputMemory : public Base {
 public:
  explicit InputMemory(Input memory) : memory_(memory) {}

  VirtAddr end() const { return kUnwindStart + memory_.size(); }
  std::string read(VirtAddr address, std::span<std::byte> out) const override {
    const uint64_t at = address - kUnwindStart;
    if (address < kUnwindStart || at > memory_.size() || memory_.size() - at < out.size())
      return "it is beyond";
    std::copy_n(memory_.begin() + static_cast<ptrdiff_t>(at), out.size(), out.begin());
    return {};
  }
  bool is_code(VirtAddr address) const override { return address >= kUnwindStart && address < end(); }
  std::optional<VirtAddr> function_of(VirtAddr address) const override {
    constexpr unsigned kFunctionSize = 64;
    if (!is_code(address)) return std::nullopt;
    return VirtAddr{address.value / kFunctionSize * kFunctionSize};
  }

 private:
  Input memory_;
};

/// The head of an input that has one.
UnwindInput read_unwind_head(Input input);
/// The memory up to `end`: a task's stack, and another.
std::array<unwind::Stack, 2> stacks_of_input(const UnwindInput& head, VirtAddr end);
/// Whether a stack was followed to its end. Ends the process where the trace makes no sense.
bool is_complete(const unwind::Trace& trace);

}  // namespace kvista::fuzz
