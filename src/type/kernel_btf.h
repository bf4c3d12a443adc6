// The types of the kernel in an image.
#pragma once

#include <memory>

#include "machine/machine.h"
#include "type/btf_types.h"

namespace kvista::type {

/// The kernel's BTF: between __start_BTF and __stop_BTF, or where a search of its image finds it. Throws
/// NotFound where there is none (CONFIG_DEBUG_INFO_BTF is off), it is not in the image, or it is ambiguous;
/// FormatError where what is there is no BTF.
std::unique_ptr<BtfTypes> read_kernel_types(machine::Machine& machine);

}  // namespace kvista::type
