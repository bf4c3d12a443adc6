#include "unwind/stack_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace kvista::unwind {

const Stack* StackReader::stack_of(VirtAddr address) const {
  const auto at = std::find_if(stacks_.begin(), stacks_.end(),
                               [&](const Stack& stack) { return stack.contains(address); });
  return at == stacks_.end() ? nullptr : &*at;
}

const Stack* StackReader::stack_of_pointer(VirtAddr sp) const {
  constexpr uint64_t kPage = 4096;
  const Stack* stack = stack_of(sp);
  if (stack == nullptr) stack = stack_of(sp - kWord);
  if (stack == nullptr) stack = stack_of(VirtAddr{(sp.value | (kPage - 1)) + 1});
  return stack;
}

bool StackReader::visit(const Stack* stack) {
  return stack != nullptr && visited_.insert(stack).second;
}

std::optional<uint64_t> StackReader::word(VirtAddr code, VirtAddr address, Failure& failure) const {
  if (stack_of(address) == nullptr) {
    failure = {
        fmt::format("the frame of {:#x} leads to {:#x}, which is in no stack", code.value, address.value)};
    return std::nullopt;
  }
  std::array<std::byte, kWord> bytes{};
  if (std::string why = target_.read(address, bytes); !why.empty()) {
    failure = {std::move(why), true};
    return std::nullopt;
  }
  return load<uint64_t>(bytes.data(), order_);
}

bool StackReader::read_registers(VirtAddr code, VirtAddr address, std::span<std::byte> out,
                                 Failure& failure) const {
  const Stack* stack = stack_of(address);
  if (stack == nullptr || stack->end - address < out.size()) {
    failure = {fmt::format("the frame of {:#x} leads to registers at {:#x}, which is in no stack", code.value,
                           address.value)};
    return false;
  }
  if (std::string why = target_.read(address, out); !why.empty()) {
    failure = {std::move(why), true};
    return false;
  }
  return true;
}

}  // namespace kvista::unwind
