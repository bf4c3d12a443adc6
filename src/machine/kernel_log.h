// The kernel's log by VMCOREINFO alone: no symbols and no debuginfo.
#pragma once

#include "kvista/kernel_log.h"
#include "machine/machine.h"

namespace kvista::machine {

/// Reads and decodes the log. Throws NotFound where the note does not say where it is, FormatError where it
/// is not in the image or its head is damaged.
KernelLog read_kernel_log(Machine& machine);

}  // namespace kvista::machine
