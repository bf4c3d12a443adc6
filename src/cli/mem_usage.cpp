// kvista mem-usage: what memory is used for, and how large a dump would be.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "pages/census.h"

namespace kvista::cli {
namespace {

using pages::Census;
using pages::ClassInfo;
using pages::PageClass;

TableSpec pages_spec() {
  return {"pages",
          "one row a class; each frame is in exactly one",
          Layout::grid,
          {{"type", "TYPE", Type::text, "", "the class"},
           {"pages", "PAGES", Type::integer, "pages", "frames of the class"},
           {"bytes", "BYTES", Type::integer, "bytes", "the same in bytes"},
           {"percent", "%", Type::real, "%", "share of the total"},
           {"excludable", "EXCLUDABLE", Type::boolean, "", "whether a dump can leave it out"},
           {"level_bit", "-d BIT", Type::integer, "",
            "the dump level's bit that leaves it out; null: none, or every level does"},
           {"description", "DESCRIPTION", Type::text, "", "what the class is"}}};
}

TableSpec of_which_spec() {
  return {"of_which",
          "parts of a class that can be told; they add nothing to the total",
          Layout::grid,
          {{"type", "TYPE", Type::text, "", "the part"},
           {"of", "OF", Type::text, "", "the class that it is a part of"},
           {"pages", "PAGES", Type::integer, "pages", "frames of the part"},
           {"bytes", "BYTES", Type::integer, "bytes", "the same in bytes"},
           {"description", "DESCRIPTION", Type::text, "", "what the part is"}},
          "pages",
          "of"};
}

TableSpec totals_spec() {
  return {"totals",
          "of all classes together",
          Layout::pairs,
          {{"page_size", "page size", Type::integer, "bytes", "bytes in a page"},
           {"pages", "Total pages on system", Type::integer, "pages",
            "frames counted; the crash kernel's are left out"},
           {"bytes", "Total size on system", Type::integer, "bytes", "the same in bytes"}}};
}

TableSpec free_check_spec() {
  return {"free_check",
          "FREE against the buddy allocator's own count",
          Layout::pairs,
          {{"counted", "FREE by struct pages", Type::integer, "pages", "FREE, less unaccepted memory"},
           {"free_lists", "FREE by free lists", Type::integer, "pages",
            "sum of free_area[].nr_free of all zones"},
           {"difference", "difference", Type::integer, "pages", "the first minus the second"}}};
}

TableSpec levels_spec() {
  return {"levels",
          "with --levels: how much a dump of each level holds",
          Layout::grid,
          {{"level", "LEVEL", Type::integer, "", "dump level, as -d of makedumpfile"},
           {"pages", "DUMPABLE PAGES", Type::integer, "pages", "pages that the dump holds"},
           {"bytes", "BYTES", Type::integer, "bytes", "the same in bytes, before compression"},
           {"estimate", "ESTIMATE", Type::boolean, "", "the share of zero pages is from a sample"},
           {"error", "+-PAGES", Type::integer, "pages", "the estimate's error, in 19 of 20 cases"}}};
}

struct Part {
  const char* name;
  PageClass of;
  pages::ClassFlag flag;
  const char* description;
};
// Parts that nothing was found of are not shown.
constexpr std::array kParts = {
    Part{"hugetlb", PageClass::user, pages::kFlagHugetlb, "huge pages of hugetlbfs"},
    Part{"unaccepted", PageClass::free, pages::kFlagSpecial, "not accepted from the hypervisor yet"},
    Part{"slab", PageClass::kern_data, pages::kFlagSlab, "slab allocator"},
    Part{"page_tables", PageClass::kern_data, pages::kFlagSpecial, "page tables"},
    Part{"reserved", PageClass::kern_data, pages::kFlagReserved,
         "kernel image, memory map, boot-time allocations"},
};

const char* name_of(PageClass page_class) {
  for (const ClassInfo& info : pages::class_infos())
    if (info.page_class == page_class) return info.name;
  return "";
}

// The six classic rows always; the others where there are any.
bool is_shown(const ClassInfo& info, uint64_t count) {
  return count != 0 || !(info.never_dumped || info.page_class == PageClass::no_struct_page);
}

void add_classes(const Census& census, Table& table) {
  const auto total = static_cast<double>(std::max<uint64_t>(census.total(), 1));
  for (const ClassInfo& info : pages::class_infos()) {
    const uint64_t count = census.count(info.page_class);
    if (!is_shown(info, count)) continue;
    const bool excludable = info.level_bits != 0 || info.never_dumped;
    table.rows.push_back({info.name, count, count * census.page_size,
                          100.0 * static_cast<double>(count) / total, excludable,
                          info.level_bit == 0 ? Cell{} : Cell(uint64_t{info.level_bit}), info.description});
  }
}

void add_parts(const Census& census, Table& table) {
  for (const Part& part : kParts) {
    const uint64_t count = census.count_flagged(part.of, part.flag);
    if (count != 0)
      table.rows.push_back({part.name, name_of(part.of), count, count * census.page_size, part.description});
  }
}

void add_levels(const Census& census, Table& table) {
  for (unsigned level = 0; level < pages::kLevels; ++level) {
    const pages::LevelCount count = census.dumpable(level);
    table.rows.push_back({uint64_t{level}, count.pages, count.pages * census.page_size, count.estimate,
                          count.estimate ? Cell(count.error) : Cell{}});
  }
}

void add_free_check(const machine::Machine& machine, const Census& census, Report& report) {
  const pages::FreeCheck& check = census.free_check;
  Table table{free_check_spec(), {}};
  if (!check.free_lists) {
    report.warnings.push_back(fmt::format("FREE is not checked against the free lists: {}", check.why_not));
    table.rows.push_back({check.counted, Cell{}, Cell{}});
  } else {
    const auto difference = static_cast<int64_t>(check.counted - *check.free_lists);
    table.rows.push_back({check.counted, *check.free_lists, difference});
    // A running kernel allocates and frees between the two counts.
    if (difference != 0 && !machine.image().traits().live)
      report.warnings.push_back(fmt::format(
          "FREE is {} pages by the struct pages and {} by the allocator's free lists: one of them is "
          "damaged, or changed while the memory was saved",
          check.counted, *check.free_lists));
  }
  report.tables.push_back(std::move(table));
}

void add_unread(const Census& census, Report& report) {
  if (census.gaps.unread() == 0) return;
  std::string reasons;
  for (size_t i = 0; i < census.gaps.unread_by_state.size(); ++i) {
    const uint64_t part = census.gaps.unread_by_state.at(i);
    if (part == 0) continue;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", part,
                           image::describe(static_cast<image::PageState>(i)));
  }
  report.warnings.push_back(
      fmt::format("{} frames of KERN_DATA are not in the image: whether they are zero is unknown: {}",
                  census.gaps.unread(), reasons));
  report.status = ExitStatus::partial;
}

void add_gaps(const Census& census, Report& report) {
  // A ROM or a device's memory is little; a damaged header claims a lot.
  if (census.gaps.without_section > census.total() / 2)
    report.warnings.push_back(fmt::format(
        "{} of {} frames that the image names are in no memory section of the kernel: the image's "
        "headers are damaged, or it is another kernel's note",
        census.gaps.without_section, census.total()));
  if (census.gaps.without_struct != 0)
    report.warnings.push_back(
        fmt::format("the struct pages of {} frames are not in the image: they are counted as "
                    "NO_STRUCT_PAGE",
                    census.gaps.without_struct));
  if (census.gaps.without_struct != 0) report.status = ExitStatus::partial;
  add_unread(census, report);
}

// The levels that leave zero pages out depend on pages that the image itself may lack.
void add_sample_gaps(const Census& census, Report& report) {
  uint64_t missing = 0;
  uint64_t all = 0;
  for (const pages::ZeroShare& share : census.zero_shares) {
    missing += share.missing;
    all += share.missing + share.looked_at;
  }
  if (missing == 0) return;
  report.warnings.push_back(
      fmt::format("{} of {} pages that were to be looked at for zeros are not in the image, and are zero or "
                  "not: the error of levels with bit 1 covers both",
                  missing, all));
  report.status = ExitStatus::partial;
}

Census count_pages(machine::Machine& machine, const pages::CensusOptions& options) {
  try {
    return pages::take_census(machine, options);
  } catch (const Error& error) {
    throw ExplainedError(error, machine);
  }
}

Report run(const Invocation& invocation) {
  const auto operand =
      invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front());
  const bool levels = invocation.flag("--levels");
  const pages::CensusOptions options{threads_option(invocation), levels, invocation.flag("--exact")};
  const auto machine = open_machine(invocation, image_paths(invocation, operand), false);
  const Census census = count_pages(*machine, options);

  Report report{"mem-usage", {{pages_spec(), {}}, {of_which_spec(), {}}, {totals_spec(), {}}}, {}, {}};
  add_classes(census, report.tables[0]);
  add_parts(census, report.tables[1]);
  report.tables[2].rows.push_back({census.page_size, census.total(), census.total() * census.page_size});
  report.warnings = machine->warnings();
  report.warnings.insert(report.warnings.end(), census.warnings.begin(), census.warnings.end());
  add_free_check(*machine, census, report);
  if (levels) {
    report.tables.push_back({levels_spec(), {}});
    add_levels(census, report.tables.back());
    add_sample_gaps(census, report);
  }
  add_gaps(census, report);
  return report;
}

}  // namespace

Command make_mem_usage() {
  std::vector<OptionSpec> options = {
      {"--levels", "", "also print how many pages a dump of each level 0 to 31 holds"},
      {"--exact", "", "with --levels: read all pages that a level may keep, instead of a sample"},
      {"--threads", "N", "count with N threads; default: as many as there are CPUs"},
  };
  for (OptionSpec& option : machine_options()) options.push_back(std::move(option));
  return {"mem-usage",
          "count the pages by their use: how large would a dump be?",
          "kvista mem-usage --levels\n  the running kernel's pages by class, and the size of its dump at "
          "each level",
          {{"IMAGE", "the image; default: /proc/vmcore, or the running kernel"}},
          options,
          {pages_spec(), of_which_spec(), totals_spec(), free_check_spec(), levels_spec()},
          run};
}

}  // namespace kvista::cli
