// The configuration that a kernel was built with: where it can be known from, and whether it is that
// kernel's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "decode/config_text.h"

namespace kvista::machine {

class Machine;

/// A configuration, or why there is none.
struct KernelConfig {
  std::optional<decode::ConfigText> text;
  std::string source;   ///< "kernel_config_data in memory", or the file
  std::string failure;  ///< why there is none
};

/// A file that the user gives, plain or compressed with gzip. Where its version does not fit `release` (uname
/// -r) there is no text, and `failure` says so. Throws AccessError where it cannot be read, FormatError where
/// it is no configuration.
KernelConfig read_config_file(const std::string& path, std::string_view release);

/// The running kernel's /proc/config.gz or /boot/config-RELEASE; of an image what its kernel carries in
/// memory with CONFIG_IKCONFIG, which the symbol kernel_config_data leads to.
KernelConfig find_config(Machine& machine);

}  // namespace kvista::machine
