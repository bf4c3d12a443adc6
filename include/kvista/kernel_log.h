// The kernel's log, and how it was found.
#pragma once

#include <string>

#include "kvista/printk_log.h"

namespace kvista::machine {

struct KernelLog {
  decode::PrintkLog log;
  std::string form;  ///< which of its forms the log has, in words
  /// Why memory outside the kernel image's own mapping could not be read; empty where it could, or was not
  /// needed.
  std::string unreachable;
};

}  // namespace kvista::machine
