// A dump that has to fit: with one level after another.
#pragma once

#include "dump/request.h"
#include "kernel/session.h"

namespace kvista::dump {

/// Writes the dump with the request's level, and where there is no room for it, again with the next one. The
/// last one that does not fit either stays an incomplete dump, with `failure`. The result's warnings say
/// which levels did not fit. Throws as write_dump; UsageError where several levels are asked for and what
/// was written cannot be taken back: standard output.
DumpResult write_to_fit(const kernel::Session& session, const DumpRequest& request);

}  // namespace kvista::dump
