#include "dump/writer.h"

#include "base/error.h"
#include "dump/elf_writer.h"
#include "dump/kdump_writer.h"
#include "dump/plan.h"

namespace kvista::dump {

std::string describe_format(const DumpRequest& request) {
  std::string text = request.format == Format::elf ? "ELF core" : "kdump-compressed v6";
  if (request.flattened) text += ", flattened";
  if (request.outputs.size() > 1) text += ", split";
  return text;
}

DumpResult write_dump(const kernel::Session& session, const DumpRequest& request) {
  if (session.image().traits().live && !request.dry_run)
    throw Unsupported(
        "dumps of the running kernel are not written yet: /proc/kcore changes while it is read, and gives "
        "zeros "
        "without an error for what it cannot read");
  DumpPlan plan(session, request);
  return request.format == Format::elf ? write_elf(plan, request) : write_kdump(plan, request);
}

}  // namespace kvista::dump
