// The kernel's log by VMCOREINFO alone: no symbols and no debuginfo.
#pragma once

#include <string>

#include "decode/printk_log.h"
#include "machine/machine.h"

namespace kvista::machine {

struct KernelLog {
  decode::PrintkLog log;
  std::string form;  ///< which of its forms the log has, in words
  /// Why memory outside the kernel image's own mapping could not be read; empty where it could, or was not
  /// needed.
  std::string unreachable;
};

/// Reads and decodes the log. Throws NotFound where the note does not say where it is, FormatError where it
/// is not in the image or its head is damaged.
KernelLog read_kernel_log(Machine& machine);

}  // namespace kvista::machine
