// Writes ELF core files, in the order that docs/dump-writer.md gives.
#pragma once

#include "dump/plan.h"
#include "dump/request.h"

namespace kvista::dump {

/// As write_dump(). Throws Unsupported where the memory has more stretches than the request allows segments.
DumpResult write_elf(DumpPlan& plan, const DumpRequest& request);

}  // namespace kvista::dump
