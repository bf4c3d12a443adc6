#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "cli/command.h"
#include "image/open.h"
#include "kernel/session.h"

namespace kvista::cli {
namespace {

const char* describe(machine::Form form) {
  switch (form) {
    case machine::Form::text:
      return "a text";
    case machine::Form::decimal:
      return "a number";
    case machine::Form::hex:
      return "a number in hexadecimal";
    case machine::Form::time:
      return "a time as 2026-11-23T18:19:17Z, or none";
    case machine::Form::virt_range:
      return "FIRST-LAST in hexadecimal";
    case machine::Form::phys_ranges:
      return "FIRST-LAST,... in hexadecimal, or none";
  }
  return "";
}

std::pair<machine::FactId, machine::FactValue> parse_override(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) throw UsageError(fmt::format("--set {}: expected FACT=VALUE", text));
  const std::string name = text.substr(0, equals);
  const auto id = machine::fact_by_name(name);
  if (!id) {
    std::string names;
    for (const auto& info : machine::all_facts())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
    throw UsageError(fmt::format("--set {}: no fact has this name (there are {})", name, names));
  }
  const machine::Form form = machine::info_of(*id).form;
  auto value = machine::parse(text.substr(equals + 1), form);
  if (!value) throw UsageError(fmt::format("--set {}: expected {}", text, describe(form)));
  return {*id, std::move(*value)};
}

std::string with_path(const std::string& text, const std::string& path) {
  return text.starts_with(path + ":") ? text : fmt::format("{}: {}", path, text);
}

}  // namespace

std::optional<std::string> Invocation::value(std::string_view name) const {
  const auto at = options.find(name);
  if (at == options.end() || at->second.empty()) return std::nullopt;
  return at->second.back();
}

std::vector<std::string> Invocation::values(std::string_view name) const {
  const auto at = options.find(name);
  return at == options.end() ? std::vector<std::string>{} : at->second;
}

unsigned number_option(const Invocation& invocation, std::string_view option, unsigned least, unsigned most,
                       unsigned otherwise) {
  const auto text = invocation.value(option);
  if (!text) return otherwise;
  unsigned number = 0;
  const char* last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, number);
  if (error != std::errc{} || end != last || number < least || number > most)
    throw UsageError(fmt::format("{} {}: expected a number from {} to {}", option, *text, least, most));
  return number;
}

unsigned threads_option(const Invocation& invocation) {
  constexpr unsigned kMost = 256;
  return number_option(invocation, "--threads", 1, kMost, default_threads());
}

std::vector<OptionSpec> machine_options() {
  std::vector<std::string> facts;
  for (const auto& info : machine::all_facts()) facts.push_back(fmt::format("{}=", info.name));
  return {
      {"--set", "FACT=VALUE", "use this value of a machine fact, whatever the image says", true, 0, facts},
      {"--vmcoreinfo", "FILE", "take VMCOREINFO from this text file and not from the image"},
      {"--symbols", "FILE",
       "find the kernel's variables by this vmlinux, System.map or copy of /proc/kallsyms, too"},
      {"--config", "FILE", "take the kernel's configuration from this file, plain or compressed with gzip"},
      {"--debuginfo", "FILE",
       "take types, variables' types and source lines from this vmlinux or file of debuginfo (DWARF)", true},
      {"--find-debuginfo", "",
       "look for the kernel's debuginfo in the usual places, by build-id and release"},
      {"--debuginfod", "", "look there, then ask the servers that DEBUGINFOD_URLS names"}};
}

std::vector<std::string> image_paths(const Invocation& invocation, std::optional<std::string> operand) {
  if (operand && !invocation.images.empty())
    throw UsageError(fmt::format("two images are given: -c {} and {}", invocation.images.front(), *operand));
  if (operand) return {*operand};
  return invocation.images.empty() ? std::vector{image::default_image_path()} : invocation.images;
}

namespace {

machine::Options options_of(const Invocation& invocation, bool explain) {
  machine::Options options;
  options.explain = explain;
  for (const std::string& text : invocation.values("--set")) options.overrides.insert(parse_override(text));
  options.vmcoreinfo_file = invocation.value("--vmcoreinfo").value_or("");
  options.symbols_file = invocation.value("--symbols").value_or("");
  options.config_file = invocation.value("--config").value_or("");
  return options;
}

debuginfo::Options debuginfo_options(const Invocation& invocation) {
  return {invocation.values("--debuginfo"), invocation.flag("--find-debuginfo"),
          invocation.flag("--debuginfod")};
}

}  // namespace

std::unique_ptr<machine::Machine> open_machine(const Invocation& invocation,
                                               const std::vector<std::string>& paths, bool explain) {
  auto machine =
      std::make_unique<machine::Machine>(image::open_image_set(paths), options_of(invocation, explain));
  debuginfo::choose(*machine, debuginfo_options(invocation));  // for its symbols
  return machine;
}

std::unique_ptr<kernel::Session> open_session(const Invocation& invocation) {
  return std::make_unique<kernel::Session>(image::open_image_set(image_paths(invocation, std::nullopt)),
                                           options_of(invocation, false), debuginfo_options(invocation));
}

namespace {

// What is already open, where this command looks at the same in the same way.
const kernel::Session* opened_session(const Invocation& invocation) {
  if (invocation.opened == nullptr || invocation.images != invocation.opened->images) return nullptr;
  Invocation of_shell;
  of_shell.options = invocation.opened->options;
  for (const OptionSpec& option : machine_options())
    if (invocation.values(option.name) != of_shell.values(option.name)) return nullptr;
  return invocation.opened->session;
}

// Those that were not printed before.
std::vector<std::string> not_said(const Invocation& invocation, std::vector<std::string> warnings) {
  if (invocation.opened != nullptr)
    std::erase_if(warnings, [&](const std::string& warning) {
      const auto& said = invocation.opened->said;
      return std::find(said.begin(), said.end(), warning) != said.end();
    });
  return warnings;
}
std::vector<std::string> new_warnings(const Invocation& invocation, const kernel::Session& session) {
  return not_said(invocation, session.warnings());
}

}  // namespace

Report with_session(const Invocation& invocation, const std::function<Report(const kernel::Session&)>& work) {
  std::unique_ptr<kernel::Session> own;
  const kernel::Session* session = opened_session(invocation);
  if (session == nullptr) {
    own = open_session(invocation);
    session = own.get();
  }
  try {
    Report report = work(*session);
    const std::vector<std::string> odd = new_warnings(invocation, *session);
    report.warnings.insert(report.warnings.begin(), odd.begin(), odd.end());
    return report;
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw ExplainedError(error, *session, new_warnings(invocation, *session));
  }
}

Report with_machine(const Invocation& invocation, const std::function<Report(machine::Machine&)>& work) {
  if (const kernel::Session* session = opened_session(invocation)) {
    Report report = session->with_machine([&](machine::Machine& machine) { return work(machine); });
    report.warnings = not_said(invocation, std::move(report.warnings));
    return report;
  }
  const auto machine = open_machine(invocation, image_paths(invocation, std::nullopt), false);
  return work(*machine);
}

void add_missing(Report& report, const std::string& what) {
  report.warnings.push_back(what);
  report.status = ExitStatus::partial;
}

ExplainedError::ExplainedError(const Error& error, const machine::Machine& machine)
    : Error(with_path(error.what(), machine.image().traits().path)),
      warnings_(machine.warnings()),
      status_(error.exit_status()) {}

ExplainedError::ExplainedError(const Error& error, const kernel::Session& session,
                               std::vector<std::string> warnings)
    : Error(with_path(error.what(), session.image().traits().path)),
      warnings_(std::move(warnings)),
      status_(error.exit_status()) {}

}  // namespace kvista::cli
