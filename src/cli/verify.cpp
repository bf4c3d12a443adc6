// kvista verify: whether a dump is whole.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "dump/verify.h"
#include "image/open.h"

namespace kvista::cli {
namespace {

using dump::VerifyResult;
using image::PageState;

TableSpec summary_spec() {
  return {
      "verify",
      "whether the dump is whole",
      Layout::pairs,
      {{"file", "file", Type::text, "", "the dump; of a split one its first file"},
       {"format", "format", Type::text, "", "its format"},
       {"frames", "memory", Type::integer, "pages", "page frames of memory that its headers name"},
       {"good", "pages that can be read", Type::integer, "pages",
        "read and decompressed, and zeros that were left out"},
       {"lost", "pages lost or damaged", Type::integer, "pages", "pages that it should have, and has not"},
       {"whole", "whole", Type::boolean, "", "whether nothing is lost, and nothing contradicts itself"}}};
}

TableSpec missing_spec() {
  return {"missing",
          "pages that are not there, by why",
          Layout::grid,
          {{"pages", "MISSING PAGES", Type::integer, "pages", "how many"},
           {"why", "WHY", Type::text, "", "what became of them"},
           {"first", "FIRST", Type::text, "",
            "where the first of them are: physical addresses, the end not included"}}};
}

TableSpec checks_spec() {
  return {"checks",
          "tables and notes that were checked against each other, one row a finding",
          Layout::grid,
          {{"file", "FILE", Type::text, "", "the file", Show::only_json},
           {"check", "CHECK", Type::text, "", "what was checked"},
           {"good", "GOOD", Type::boolean, "", "whether it fits the rest"},
           {"found", "FOUND", Type::text, "", "what is there, or what is wrong with it"}}};
}

std::string places(const dump::FramesInState& state) {
  std::string text;
  for (const PhysRange& range : state.first)
    text += fmt::format("{}{:#x}-{:#x}", text.empty() ? "" : " ", range.start.value, range.end().value);
  return text;
}

// A sentence on each thing for which the dump is not whole.
void add_faults(const VerifyResult& result, Report& report) {
  if (result.bad() != 0)
    add_missing(report, fmt::format("{} of {} pages that the dump should have are lost or damaged",
                                    result.bad(), result.bad() + result.good()));
  for (const image::Check& check : result.checks)
    if (!check.good) add_missing(report, fmt::format("{}: {}: {}", check.path, check.what, check.found));
}

Report report_of(const image::MemoryImage& image, const VerifyResult& result) {
  Report report{"verify", {{summary_spec(), {}}, {missing_spec(), {}}, {checks_spec(), {}}}, {}, {}};
  const image::Traits& traits = image.traits();
  report.tables[0].rows.push_back(
      {traits.path, traits.format, result.frames(), result.good(), result.bad(), result.is_whole()});
  for (size_t i = 0; i < result.states.size(); ++i) {
    const auto state = static_cast<PageState>(i);
    const dump::FramesInState& frames = result.in(state);
    if (frames.frames == 0 || state == PageState::present || state == PageState::zero_elided) continue;
    report.tables[1].rows.push_back({frames.frames, image.describe_state(state), places(frames)});
  }
  for (const image::Check& check : result.checks)
    report.tables[2].rows.push_back({check.path, check.what, check.good, check.found});
  const auto odd = image.warnings();
  report.warnings.assign(odd.begin(), odd.end());
  add_faults(result, report);
  return report;
}

Report run(const Invocation& invocation) {
  const auto operand =
      invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front());
  const auto image = image::open_image_set(image_paths(invocation, operand));
  Progress progress("reading", invocation.flag("--quiet"));
  const dump::VerifyOptions options{threads_option(invocation),
                                    [&](uint64_t done, uint64_t planned) { progress.show(done, planned); }};
  return report_of(*image, dump::verify(*image, options));
}

}  // namespace

Command make_verify() {
  return {"verify",
          "read every page of a dump, and check its tables against each other",
          "kvista verify /var/crash/dump\n  whether the dump is whole: exit status 0 only where nothing is "
          "lost or damaged",
          {{"DUMP", "the dump; default: /proc/vmcore"}},
          {{"--threads", "N", "read with N threads; default: as many as there are CPUs"}},
          {summary_spec(), missing_spec(), checks_spec()},
          run};
}

}  // namespace kvista::cli
