#include "dump/writer.h"

#include <fmt/format.h>

#include "base/error.h"
#include "dump/elf_writer.h"
#include "dump/erase.h"
#include "dump/kdump_writer.h"
#include "dump/plan.h"

namespace kvista::dump {

std::string describe_format(const DumpRequest& request) {
  std::string text = request.format == Format::elf ? "ELF core" : "kdump-compressed v6";
  if (request.flattened) text += ", flattened";
  if (request.outputs.size() > 1) text += ", split";
  return text;
}

namespace {

// What is copied first of a running kernel is not what comes first in memory.
void check_live(const DumpRequest& request) {
  if (request.format == Format::elf)
    throw Unsupported(
        "dumps of the running kernel are kdump-compressed; kvista convert -E makes them ELF core files");
  if (request.outputs.size() > 1) throw Unsupported("dumps of the running kernel are not split");
  if (request.every_page)
    throw Unsupported("the running kernel is no dump that could be converted: kvista dump saves it");
}

DumpResult write_all(const kernel::Session& session, const DumpRequest& request) {
  DumpPlan plan(session, request);
  return request.format == Format::elf ? write_elf(plan, request) : write_kdump(plan, request);
}

}  // namespace

DumpResult write_dump(const kernel::Session& session, const DumpRequest& request) {
  if (session.image().traits().live) check_live(request);
  if (!request.erase_rules) return write_all(session, request);
  DumpRequest with_erasure = request;
  with_erasure.erasure = find_erased(session, *request.erase_rules);
  const Erasure& erasure = with_erasure.erasure;
  DumpResult result = write_all(session, with_erasure);
  result.erased_places = erasure.places;
  result.erased_bytes = erasure.ranges.bytes();
  if (erasure.places == 0)
    result.warnings.push_back(
        fmt::format("{}: its rules name nothing that could be erased", *request.erase_rules));
  return result;
}

}  // namespace kvista::dump
