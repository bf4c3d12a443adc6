// Writes dumps: the order of writing is in docs/dump-writer.md.
#pragma once

#include "dump/request.h"
#include "kernel/session.h"

namespace kvista::dump {

/// Writes the dump of the session's kernel. Where the output takes no more after pages were planned, the
/// result says so (`failure`), and what is written stays an incomplete dump. Throws an Error where no page
/// could be saved at all, and what find_erased() does: then nothing was written.
DumpResult write_dump(const kernel::Session& session, const DumpRequest& asked);

}  // namespace kvista::dump
