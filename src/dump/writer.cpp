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
  if (request.leave_out_map)
    throw Unsupported("the memory map of the running kernel changes meanwhile: it is saved whole");
  if (request.every_page)
    throw Unsupported("the running kernel is no dump that could be converted: kvista dump saves it");
}

}  // namespace

DumpResult write_dump(const kernel::Session& session, const DumpRequest& asked) {
  if (session.image().traits().live) check_live(asked);
  DumpRequest request = asked;
  request.memory = share_memory(asked.memory_limit, asked.threads);
  request.threads = request.memory.threads;
  if (request.erase_rules) request.erasure = find_erased(session, *request.erase_rules);
  DumpPlan plan(session, request);
  DumpResult result = request.format == Format::elf ? write_elf(plan, request) : write_kdump(plan, request);
  result.erased_places = request.erasure.places;
  result.erased_bytes = request.erasure.ranges.bytes();
  if (request.erase_rules && result.erased_places == 0)
    result.warnings.push_back(
        fmt::format("{}: its rules name nothing that could be erased", *request.erase_rules));
  return result;
}

}  // namespace kvista::dump
