// kvista estimate: how large a dump would be, and what memory taking it needs.
#include "dump/estimate.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>

#include "base/error.h"
#include "cli/command.h"
#include "cli/dump.h"

namespace kvista::cli {
namespace {

using dump::DumpRequest;
using dump::Estimate;

TableSpec summary_spec() {
  return {"estimate",
          "how large the dump would be",
          Layout::pairs,
          {{"level", "dump level", Type::integer, "",
            "which pages are left out, with those that the source lacked"},
           {"compression", "compression", Type::text, "", "what pages are compressed with"},
           {"frames", "memory", Type::integer, "pages", "page frames of memory"},
           {"pages", "pages to save", Type::integer, "pages", "pages that the dump would hold: counted"},
           {"sampled", "pages sampled", Type::integer, "pages", "of them, how many were read and compressed"},
           {"bytes", "size", Type::integer, "bytes", "of the dump: estimated"},
           {"least", "at least", Type::integer, "bytes", "the size is between this ..."},
           {"most", "at most", Type::integer, "bytes", "... and this in 95 of 100 cases"}}};
}

TableSpec classes_spec() {
  return {"classes",
          "of which classes the pages are",
          Layout::grid,
          {{"type", "TYPE", Type::text, "", "the class"},
           {"pages", "TO SAVE", Type::integer, "pages", "frames that the dump would hold"},
           {"sampled", "SAMPLED", Type::integer, "pages", "of them, how many were looked at"},
           {"zeros", "ZERO %", Type::real, "%", "estimated share of pages of zeros"},
           {"bytes", "BYTES", Type::integer, "bytes", "estimated size in the dump"},
           {"description", "DESCRIPTION", Type::text, "", "what the class is"}}};
}

TableSpec memory_spec() {
  return {"memory",
          "of what the memory to reserve for the crash kernel is composed",
          Layout::grid,
          {{"what", "MEMORY FOR", Type::text, "", "a part of it"},
           {"bytes", "BYTES", Type::integer, "bytes", "how much"},
           {"how", "HOW IT IS KNOWN", Type::text, "", "where the number is from"}}};
}

TableSpec reservation_spec() {
  return {"reservation",
          "what to reserve",
          Layout::pairs,
          {{"crashkernel", "crashkernel", Type::integer, "MiB",
            "for the kernel's parameter crashkernel=: the sum, rounded up"}}};
}

std::optional<uint64_t> file_size(const Invocation& invocation, std::string_view option) {
  const auto path = invocation.value(option);
  if (!path) return std::nullopt;
  struct stat status {};
  if (stat(path->c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    throw AccessError(fmt::format("{} {}: there is no such file", option, *path));
  return static_cast<uint64_t>(status.st_size);
}

Cell rounded(double bytes) {
  return static_cast<uint64_t>(std::llround(std::max(bytes, 0.0)));
}

uint64_t sampled(const Estimate& estimate) {
  uint64_t sum = 0;
  for (const dump::ClassEstimate& of_class : estimate.classes) sum += of_class.sampled;
  return sum;
}

void add_classes(const Estimate& estimate, Table& table) {
  for (const pages::ClassInfo& info : pages::class_infos()) {
    const auto& it = estimate.classes.at(static_cast<size_t>(info.page_class));
    if (it.pages != 0)
      table.rows.push_back({info.name, it.pages, it.sampled, 100 * it.zeros / static_cast<double>(it.pages),
                            rounded(it.bytes), info.description});
  }
}

Report report_of(const DumpRequest& request, const Estimate& estimate,
                 const std::vector<dump::MemoryNeed>& needs) {
  Report report{"estimate",
                {{summary_spec(), {}}, {classes_spec(), {}}, {memory_spec(), {}}, {reservation_spec(), {}}},
                {},
                {}};
  // The tables are there whatever the pages come to.
  const double least = std::max(estimate.bytes - estimate.error, static_cast<double>(estimate.tables));
  report.tables[0].rows.push_back({uint64_t{estimate.level}, describe_compression(request), estimate.frames,
                                   estimate.pages, sampled(estimate), rounded(estimate.bytes), rounded(least),
                                   rounded(estimate.bytes + estimate.error)});
  add_classes(estimate, report.tables[1]);
  for (const dump::MemoryNeed& need : needs)
    report.tables[2].rows.push_back({need.what, need.bytes, need.how});
  report.tables[3].rows.push_back({dump::reservation_mib(needs)});
  report.warnings = estimate.warnings;
  if (estimate.missing != 0)
    add_missing(report, fmt::format("{} of {} sampled pages are not in the image, and count as no bytes",
                                    estimate.missing, sampled(estimate)));
  return report;
}

Report run(const Invocation& invocation) {
  constexpr unsigned kMostSampled = 1000000;
  constexpr unsigned kMostCpus = 8192;
  DumpRequest request;
  set_levels(invocation.value("--level").value_or("0"), "--level", request);
  if (!request.next_levels.empty()) throw UsageError("--level: one level is estimated at a time");
  choose_compression(invocation, request);
  request.threads = threads_option(invocation);
  const unsigned sample = number_option(invocation, "--sample", 1, kMostSampled, dump::kUsualSample);
  const unsigned seed = number_option(invocation, "--seed", 0, UINT32_MAX, 0);
  const dump::CrashKernel crash{file_size(invocation, "--kernel"), file_size(invocation, "--initramfs"),
                                number_option(invocation, "--cpus", 1, kMostCpus, 1)};
  Invocation of_source = invocation;
  of_source.images = image_paths(
      invocation, invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front()));
  return with_session(of_source, [&](const kernel::Session& session) {
    const Estimate estimate = dump::estimate(session, request, sample, seed);
    return report_of(request, estimate, dump::memory_needs(session, crash, estimate.page_size));
  });
}

}  // namespace

Command make_estimate() {
  std::vector<OptionSpec> options = {
      {"--level", "LEVEL", "of a dump that leaves out what this level does (kvista dump -d); default: 0",
       false, 'd'},
      {"--sample", "N", "read about N pages; default: 6000"},
      {"--seed", "N", "take other pages; the same number takes the same ones; default: 0"},
      {"--kernel", "FILE", "the crash kernel, for the memory to reserve"},
      {"--initramfs", "FILE", "its initramfs"},
      {"--cpus", "N", "how many CPUs it runs on; default: 1"},
      {"--threads", "N", "work with N threads; default: as many as there are CPUs"},
  };
  for (OptionSpec& option : compression_options()) options.push_back(std::move(option));
  for (OptionSpec& option : machine_options()) options.push_back(std::move(option));
  return {"estimate",
          "estimate how large a dump would be, and the memory to reserve for taking it",
          "kvista estimate -d 31\n  how large the running kernel's dump would be, and crashkernel= for it",
          {{"IMAGE", "the image; default: /proc/vmcore, or the running kernel"}},
          options,
          {summary_spec(), classes_spec(), memory_spec(), reservation_spec()},
          run};
}

}  // namespace kvista::cli
