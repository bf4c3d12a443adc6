// Instructions of x86_64 that kernels have, and Capstone 4 does not know, or takes for others.
#pragma once

#include <optional>
#include <span>

#include "disasm/decoder.h"

namespace kvista::disasm {

/// The instruction at the start of `bytes`, if it is one of these.
std::optional<Instruction> decode_x86_more(std::span<const std::byte> bytes, VirtAddr address);

}  // namespace kvista::disasm
