// Where an image keeps its VMCOREINFO.
#pragma once

#include <optional>
#include <string>

#include "image/memory_image.h"
#include "kvista/vmcoreinfo.h"

namespace kvista::vmcoreinfo {

/// A note and where it was found ("ELF note", "/sys/kernel/vmcoreinfo", "user").
struct Located {
  VmcoreInfo info;
  std::string source;
};

/// The note of `image`: its ELF note, or for the running kernel the physical address that
/// /sys/kernel/vmcoreinfo (or the file `sysfs`) names. Nothing where there is none.
std::optional<Located> locate(const image::MemoryImage& image,
                              const std::string& sysfs = "/sys/kernel/vmcoreinfo");

/// Reads the text from a file that the user names. Throws AccessError or FormatError.
Located read_file(const std::string& path);

}  // namespace kvista::vmcoreinfo
