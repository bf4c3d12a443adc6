// What `kvista dump` and its face as makedumpfile have in common.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "dump/request.h"

namespace kvista::cli {

/// Sets the level, and those that are tried after it, by a text like "31" or "31,17". Throws UsageError,
/// which names `option`.
void set_levels(const std::string& text, std::string_view option, dump::DumpRequest& request);

/// Bytes by a text like "4096" or "3G". Throws UsageError, which names `option`.
uint64_t size_of(const std::string& text, std::string_view option);

/// The options by which pages are compressed: --compress, -c, -l, -p, -z.
std::vector<OptionSpec> compression_options();
/// Sets what they say; zstd where they say nothing. Throws UsageError.
void choose_compression(const Invocation& invocation, dump::DumpRequest& request);
/// "zstd:1", "none".
std::string describe_compression(const dump::DumpRequest& request);

/// Writes the dump of the image that `of_source` names (-c, and the options about machine facts), and reports
/// it. Throws UsageError where the output is the image itself, and what the writer throws.
Report save_dump(const char* command, const Invocation& of_source, const dump::DumpRequest& request);

}  // namespace kvista::cli
