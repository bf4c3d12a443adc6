// Which segments the file of a described kernel has.
#pragma once

#include <vector>

#include "images/elf_builder.h"
#include "images/kernel.h"

namespace kvista::test {

/// As the description says; their data are valid while `kernel` is.
std::vector<ElfSegment> segments_of(const Kernel& kernel);

}  // namespace kvista::test
