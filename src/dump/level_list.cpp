#include "dump/level_list.h"

#include <fmt/format.h>

#include "dump/output.h"
#include "dump/writer.h"

namespace kvista::dump {
namespace {

// Why the dump did not fit; empty: it did, or failed for another reason.
std::string write_once(const kernel::Session& session, const DumpRequest& request, DumpResult& result) {
  try {
    result = write_dump(session, request);
    return result.full ? result.failure : "";
  } catch (const OutputFull& error) {
    // Not even its tables did.
    return error.what();
  }
}

}  // namespace

DumpResult write_to_fit(const kernel::Session& session, const DumpRequest& request) {
  if (request.next_levels.empty() || request.dry_run) return write_dump(session, request);
  if (request.outputs.front() == "-")
    throw UsageError("several levels are for an output that can be written again, which a stream cannot");
  DumpRequest attempt = request;
  std::vector<std::string> warnings;
  for (const unsigned next : request.next_levels) {
    DumpResult result;
    const std::string why = write_once(session, attempt, result);
    if (why.empty()) {
      result.warnings.insert(result.warnings.begin(), warnings.begin(), warnings.end());
      return result;
    }
    warnings.push_back(fmt::format("level {} did not fit, level {} is next: {}", attempt.level, next, why));
    attempt.level = next;
    attempt.overwrite = true;  // what is there is what did not fit
  }
  DumpResult last = write_dump(session, attempt);
  last.warnings.insert(last.warnings.begin(), warnings.begin(), warnings.end());
  return last;
}

}  // namespace kvista::dump
