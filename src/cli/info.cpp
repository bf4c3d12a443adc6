// kvista info: the machine's details, each with its evidence.
#include <fmt/format.h>

#include "cli/command.h"

namespace kvista::cli {
namespace {

using machine::Candidate;
using machine::Fact;
using machine::FactInfo;

TableSpec facts_spec() {
  return {"facts",
          "one row a fact",
          Layout::grid,
          {{"fact", "FACT", Type::text, "", "name of the fact, as --set takes it"},
           {"value", "VALUE", Type::any, "", "null where it cannot be established"},
           {"verified", "VERIFIED", Type::boolean, "",
            "checked against memory, or said by two independent sources"},
           {"source", "SOURCE", Type::text, "", "whom the value comes from"},
           {"description", "DESCRIPTION", Type::text, "", "what the fact is"}}};
}

TableSpec candidates_spec() {
  return {"candidates",
          "with --explain: what every source said of every fact",
          Layout::grid,
          {{"fact", "FACT", Type::text, "", "name of the fact"},
           {"source", "SOURCE", Type::text, "", "who was asked"},
           {"value", "CANDIDATE", Type::any, "", "what it says"},
           {"verdict", "VERDICT", Type::text, "",
            "chosen, agrees, disagrees, candidate (proves nothing) or not available"},
           {"why", "WHY", Type::text, "", "where exactly it was found, or why it was not"}}};
}

Cell cell_of(const std::optional<machine::FactValue>& value, machine::Form form) {
  if (!value) return {};
  if (form == machine::Form::decimal) return std::get<uint64_t>(*value);
  return machine::format(*value, form);
}

std::string why_of(const Candidate& candidate) {
  if (!candidate.verified) return candidate.detail;
  return fmt::format("{}; {}", candidate.detail,
                     *candidate.verified ? "memory confirms it" : "memory refutes it");
}

Report run(const Invocation& invocation) {
  const bool explain = invocation.flag("--explain");
  const auto operand =
      invocation.operands.empty() ? std::nullopt : std::optional(invocation.operands.front());
  const auto machine = open_machine(invocation, image_paths(invocation, operand), explain);

  Report report{"info", {{facts_spec(), {}}}, {}, ExitStatus::complete};
  if (explain) report.tables.push_back({candidates_spec(), {}});
  const auto& in_memory = machine->notes_in_memory();
  if (explain && !in_memory.notes.empty()) report.tables.push_back(notes_table(in_memory));
  std::vector<std::string> missing;
  for (const FactInfo& info : machine->facts()) {
    const Fact& fact = machine->fact(info.id);
    const bool known = fact.value.has_value();
    if (!known) missing.emplace_back(info.name);
    report.tables[0].rows.push_back({info.name, cell_of(fact.value, info.form), known && fact.verified,
                                     known ? Cell(describe(fact.source)) : Cell("not available"),
                                     info.description});
    if (!explain) continue;
    for (const Candidate& c : fact.candidates)
      report.tables[1].rows.push_back(
          {info.name, describe(c.source), cell_of(c.value, info.form), describe(c.verdict), why_of(c)});
  }
  report.warnings = machine->warnings();
  if (machine->note().empty())
    report.warnings.push_back(fmt::format(
        "{}: {}: most facts need it; give one with --vmcoreinfo FILE", machine->image().traits().path,
        machine::describe_missing_note(machine->image(), machine->notes_in_memory())));
  if (!missing.empty()) {
    report.status = ExitStatus::partial;
    report.warnings.push_back(fmt::format("not available: {}{}", fmt::join(missing, ", "),
                                          explain ? "" : " (info --explain says why)"));
  }
  return report;
}

}  // namespace

Command make_info() {
  std::vector<OptionSpec> options = machine_options();
  options.insert(options.begin(), {"--explain", "", "ask every source, and show what each said"});
  return {"info",
          "print the machine's details and where each comes from",
          "kvista info --explain vmcore\n  every source of every fact: which agree, which do not, which have "
          "none",
          {{"IMAGE", "the image; default: /proc/vmcore, or the running kernel"}},
          options,
          {facts_spec(), candidates_spec(), notes_spec()},
          run};
}

}  // namespace kvista::cli
