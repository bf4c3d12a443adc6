// Writes kdump-compressed files, in the order that docs/dump-writer.md gives.
#pragma once

#include "dump/plan.h"
#include "dump/request.h"

namespace kvista::dump {

/// As write_dump(), in one file or split into several.
DumpResult write_kdump(DumpPlan& plan, const DumpRequest& request);

}  // namespace kvista::dump
